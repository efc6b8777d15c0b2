"""What a check gives back: where in a text what kind of thing is, and never the thing itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Way = Literal["in", "out"]

WINDOW = 256  # characters of an answer that are held back at most, unless they surely match
CONTEXT = 64  # characters before a match that a check may look at


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in a text."""

    kind: str
    start: int
    end: int
    score: float = 1.0  # how sure the check is, 0 to 1


Findings = Sequence[Finding]


class CheckFailed(Exception):
    """The check could not come to an end."""


class Check(Protocol):
    """Looks for one family of things."""

    def check(self, text: str, direction: Way) -> Findings:
        """Return what is found, in any order; raise `CheckFailed` where that takes too long."""

    def growing(self, text: str) -> int:
        """Return from where on a match may still grow, or come to be, with what follows.

        What begins before that place is final. The text's length: nothing can.
        """


def last_run(text: str) -> int:
    """Return where the last run without white space begins, at most a window back."""
    tail = text[-WINDOW:]
    if not tail or tail[-1].isspace():
        return len(text)
    return len(text) - len(tail.split()[-1])


def apart(findings: Findings, priority: Sequence[str]) -> list[Finding]:
    """Return the findings without those that overlap one of a kind that comes first."""
    rank = {kind: number for number, kind in enumerate(priority)}
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda one: (rank[one.kind], one.start)):
        if all(finding.end <= other.start or other.end <= finding.start for other in kept):
            kept.append(finding)
    return kept
