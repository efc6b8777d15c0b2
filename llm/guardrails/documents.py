"""Parts of a text that are marked as somebody else's: `<document>…</document>`."""

import re

OPENS = re.compile(r"<document\b[^<>]{0,500}>", re.IGNORECASE)
CLOSES = re.compile(r"</document>", re.IGNORECASE)


def spans(text: str) -> list[tuple[int, int]]:
    """Return where the documents are in a text; one that nobody closes ends with the text."""
    found: list[tuple[int, int]] = []
    position = 0
    while opening := OPENS.search(text, position):
        closing = CLOSES.search(text, opening.end())
        end = closing.start() if closing else len(text)
        found.append((opening.end(), end))
        position = end
    return found
