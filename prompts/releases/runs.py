"""What two sequences of lines or words have in common, in bounded time.

What occurs once in both is aligned first ("patience"), which takes little time however long they
are; difflib compares what is left between.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

MOST_STEPS = 20_000_000  # of difflib, in one comparison; about two seconds if all are needed

Part = Sequence[str]


@dataclass(slots=True)
class Effort:
    """How much one comparison may still do."""

    steps: int = MOST_STEPS
    has_given_up: bool = False  # something was not compared in full

    def allows(self, old: Part, new: Part) -> bool:
        """Return whether difflib may compare two sequences; count its steps if so."""
        others = Counter(new)
        counts = Counter(one for one in old if not _is_blank(one))
        pairs = sum(count * others[one] for one, count in counts.items())
        # Each match that is found can cost a look at everything.
        steps = (len(old) + len(new) + pairs) * min(len(old), len(new))
        if steps > self.steps:
            self.has_given_up = True
            return False
        self.steps -= steps
        return True


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of both that is the same, or differs."""

    is_same: bool
    old: Part
    new: Part


def runs(old: Part, new: Part, effort: Effort) -> list[Run]:
    """Return what both have in common and what not, in turn."""
    return [
        Run(True, old[i : i + size], new[j : j + size])
        if size
        else Run(False, old[i:old_end], new[j:new_end])
        for i, j, size, old_end, new_end in _in_turn(_matches(old, new, effort), old, new)
    ]


def _in_turn(
    matches: Iterator[tuple[int, int, int]], old: Part, new: Part
) -> Iterator[tuple[int, int, int, int, int]]:
    """Return matches and the gaps between them, which have the size 0; neighbours are joined."""
    start_old = start_new = end_old = end_new = 0
    for i, j, size in matches:
        if (i, j) != (end_old, end_new):
            if end_old > start_old:
                yield start_old, start_new, end_old - start_old, end_old, end_new
            yield end_old, end_new, 0, i, j
            start_old, start_new = i, j
        end_old, end_new = i + size, j + size
    if end_old > start_old:
        yield start_old, start_new, end_old - start_old, end_old, end_new
    if (end_old, end_new) != (len(old), len(new)):
        yield end_old, end_new, 0, len(old), len(new)


def _matches(old: Part, new: Part, effort: Effort) -> Iterator[tuple[int, int, int]]:
    """Return where equal pieces begin in both, and how long they are."""
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    ends = len(old) - tail, len(new) - tail
    yield 0, 0, head
    anchors = [(head - 1, head - 1), *_anchors(old, new, head, ends), ends]
    for (i, j), (next_i, next_j) in pairwise(anchors):
        yield from _between(old, new, (i + 1, next_i), (j + 1, next_j), effort)
        if (next_i, next_j) != ends:
            yield next_i, next_j, 1
    yield *ends, tail


def _common(old: Part, new: Part) -> int:
    """Return how many are equal at the beginning."""
    for count, (one, other) in enumerate(zip(old, new, strict=False)):
        if one != other:
            return count
    return min(len(old), len(new))


def _anchors(old: Part, new: Part, head: int, ends: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the most places, in the order of both, of what occurs once in each."""
    places = _unique(new, head, ends[1])
    pairs = [(i, places[one]) for one, i in _unique(old, head, ends[0]).items() if one in places]
    return _longest_rising(pairs)


def _unique(part: Part, start: int, end: int) -> dict[str, int]:
    counts = Counter(part[start:end])
    return {part[i]: i for i in range(start, end) if counts[part[i]] == 1}


def _longest_rising(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest run of pairs, some left out, in which the second rises as the first."""
    tops: list[int] = []  # the lowest end of a run of each length
    ends: list[int] = []  # which pair that is
    before: list[int | None] = []
    for place, (_, j) in enumerate(pairs):
        length = bisect_left(tops, j)
        before.append(ends[length - 1] if length else None)
        tops[length : length + 1] = [j]
        ends[length : length + 1] = [place]
    found: list[tuple[int, int]] = []
    at = ends[-1] if ends else None
    while at is not None:
        found.append(pairs[at])
        at = before[at]
    return found[::-1]


def _between(
    old: Part, new: Part, at_old: tuple[int, int], at_new: tuple[int, int], effort: Effort
) -> Iterator[tuple[int, int, int]]:
    before, after = old[slice(*at_old)], new[slice(*at_new)]
    if set(before).isdisjoint(after) or not effort.allows(before, after):
        return
    # White space begins no match: empty lines and blanks are everywhere.
    matcher = SequenceMatcher(_is_blank, before, after, autojunk=False)
    for match in matcher.get_matching_blocks():
        if match.size:
            yield at_old[0] + match.a, at_new[0] + match.b, match.size


def _is_blank(one: str) -> bool:
    return not one.strip()
