"""A text as a reader sees it: full-width digits are digits, and what has no width is not there."""

import unicodedata
from collections.abc import Iterable, Sequence

from msgspec import Struct

from llm.guardrails.findings import Finding


class Folded(Struct, frozen=True):
    """The text to look in, and where its characters stand in the original."""

    text: str
    length: int  # of the original
    places: Sequence[int] | None = None  # None: every character at its own place

    def findings(self, found: Iterable[Finding]) -> list[Finding]:
        """Return what was found here, placed in the original."""
        if (places := self.places) is None:
            return list(found)
        return [
            Finding(one.kind, places[one.start], places[one.end - 1] + 1, one.score)
            for one in found
        ]

    def place(self, index: int) -> int:
        """Return where the character at `index` stands in the original."""
        if index >= len(self.text):
            return self.length
        return index if self.places is None else self.places[index]


def fold(text: str) -> Folded:
    """Return the text with the plain characters that others stand for, one for one."""
    if text.isascii():
        return Folded(text, len(text))
    plain = text.translate(_PLAIN)
    places = [place for place, character in enumerate(plain) if character != GONE]
    if len(places) == len(plain):
        return Folded(plain, len(text))
    return Folded(plain.replace(GONE, ""), len(text), places)


GONE = "\x00"  # it separates nothing that anybody sees, like the others that go


class _Plain(dict[int, str]):
    """What stands for a character; worked out once for each, and there are not so many."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if unicodedata.category(character) == "Cf":
            plain = GONE
        elif character.isdecimal():
            plain = str(unicodedata.decimal(character))
        else:
            folded = unicodedata.normalize("NFKC", character)
            plain = folded if len(folded) == 1 and folded.isascii() else character
        self[code] = plain
        return plain


_PLAIN = _Plain()
