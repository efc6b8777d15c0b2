"""Words, phrases and patterns that staff have listed."""

import re
import time
from collections.abc import Iterator

from llm.guardrails import patterns
from llm.guardrails.findings import WINDOW, CheckFailed, Finding, Findings, Way

KINDS = ("word", "pattern")
MOST = 500
LONGEST = 100  # characters of a word or phrase
PATIENCE = 0.5  # CPU seconds for the patterns of one rule and one text


class Words:
    """Looks for whole words and phrases, and for patterns, in capitals or not."""

    def __init__(self, words: tuple[str, ...] = (), expressions: tuple[str, ...] = ()) -> None:
        plain = [" ".join(word.lower().split()) for word in words]
        longest_first = sorted(filter(None, plain), key=len, reverse=True)
        listed = "|".join(re.escape(word).replace(r"\ ", r"\s") for word in longest_first)
        self._words = re.compile(rf"(?<!\w)(?:{listed})(?!\w)", re.I) if listed else None
        self._beginnings = {word[:size] for word in plain for size in range(1, len(word) + 1)}
        self._longest = max(map(len, plain), default=0)
        self._patterns = [re.compile(expression, re.I) for expression in expressions]
        # With one more character it is known whether a word ends there.
        widths = [min(patterns.width(one) + 1, WINDOW) for one in expressions]
        self._widest = max(widths, default=0)

    def check(self, text: str, direction: Way) -> Findings:
        """Return the findings; raise `CheckFailed` where the patterns take too long."""
        found = []
        if self._words:
            found = [Finding("word", *match.span()) for match in self._words.finditer(text)]
        return found + [Finding("pattern", start, end) for start, end in self._matches(text)]

    def growing(self, text: str) -> int:
        """Return where a word begins that may be one of ours, or so much as a pattern is wide."""
        return min(self._word_grows(text), max(0, len(text) - self._widest))

    def _word_grows(self, text: str) -> int:
        tail = re.sub(r"\s", " ", text[-self._longest :]).lower() if self._longest else ""
        for place in range(len(tail)):
            if tail[place:] in self._beginnings:
                return len(text) - len(tail) + place
        return len(text)

    def _matches(self, text: str) -> set[tuple[int, int]]:
        """Return the places of the patterns, seen through pieces that overlap by half."""
        began = time.thread_time()
        spans: set[tuple[int, int]] = set()
        for pattern in self._patterns:
            for start in range(0, max(1, len(text) - WINDOW), patterns.PIECE - WINDOW):
                found = pattern.finditer(text, start, start + patterns.PIECE)
                spans.update(match.span() for match in found)
                if time.thread_time() - began > PATIENCE:
                    raise CheckFailed("The patterns take too long.")
        return set(_without_parts(sorted(spans, key=lambda span: (span[0], -span[1]))))


def _without_parts(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the places that lie in no other: the edge of a piece may have cut a match short."""
    reached = 0
    for start, end in spans:
        if end > reached:
            yield start, end
            reached = end
