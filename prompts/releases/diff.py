"""What differs between two texts: line by line, and in what changed word by word.

It takes no longer than `Effort` allows, whatever the texts are: what would take longer is marked as
changed in one piece.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from prompts.releases.runs import Effort, Run, runs

CONTEXT = 3  # unchanged lines around a change that are shown
WORDS = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of both texts, side by side; empty on the side that lacks them."""

    old: tuple[Span, ...]
    new: tuple[Span, ...]
    is_same: bool = False
    is_folded: bool = False  # far from any change

    @property
    def line_count(self) -> int:
        return sum(span.text.count("\n") for span in self.new) + 1


@dataclass(slots=True)
class _Side:
    """The spans of one side, as they come; neighbours of one kind are joined."""

    spans: list[Span] = field(default_factory=list)

    def add(self, text: str, is_changed: bool) -> None:
        if not text:
            return
        if self.spans and self.spans[-1].is_changed == is_changed:
            text = self.spans.pop().text + text
        self.spans.append(Span(text, is_changed))


def compare_texts(old: str, new: str, effort: Effort) -> tuple[Block, ...]:
    """Return both texts as blocks of lines."""
    before, after = old.split("\n") if old else [], new.split("\n") if new else []
    return tuple(_folded(_blocks(runs(before, after, effort), effort)))


def _blocks(found: Iterable[Run], effort: Effort) -> Iterator[Block]:
    for run in found:
        if run.is_same:
            yield _same(run.new)
        elif run.old and run.new:
            yield _changed("\n".join(run.old), "\n".join(run.new), effort)
        else:
            yield Block(_lines(run.old), _lines(run.new))


def _same(lines: Iterable[str], is_folded: bool = False) -> Block:
    spans = (Span("\n".join(lines)),)
    return Block(spans, spans, is_same=True, is_folded=is_folded)


def _changed(old: str, new: str, effort: Effort) -> Block:
    left, right = _Side(), _Side()
    found = runs(WORDS.findall(old), WORDS.findall(new), effort)
    for place, run in enumerate(found):
        is_between = 0 < place < len(found) - 1
        is_changed = not run.is_same or (is_between and _is_blank(run.new))
        left.add("".join(run.old), is_changed)
        right.add("".join(run.new), is_changed)
    return Block(tuple(left.spans), tuple(right.spans))


def _is_blank(words: Sequence[str]) -> bool:
    """Return whether this is a blank between two words, which belongs to them if both changed."""
    text = "".join(words)
    return text.isspace() and "\n" not in text


def _lines(lines: Sequence[str]) -> tuple[Span, ...]:
    """Return whole lines: one that is empty is something too."""
    return (Span("\n".join(lines), is_changed=True),) if lines else ()


def _folded(blocks: Iterable[Block]) -> Iterator[Block]:
    """Fold what is unchanged, but for some lines beside what is not."""
    for block in blocks:
        lines = block.new[0].text.split("\n") if block.is_same else []
        if len(lines) <= 3 * CONTEXT:
            yield block
            continue
        yield _same(lines[:CONTEXT])
        yield _same(lines[CONTEXT:-CONTEXT], is_folded=True)
        yield _same(lines[-CONTEXT:])
