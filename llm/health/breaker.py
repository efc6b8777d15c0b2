"""When a deployment has a cooldown, for how long, and who may try it again.

closed ── too many failures ──▶ open ── cooldown over ───▶ half open: one probe, in one process
  ▲                              ▲                             │
  └───────── it speaks ──────────┼──────────────┬──────────────┘
                                 └─ it fails ───┘   (the next cooldown is twice as long)
"""

import random
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from msgspec import Struct

WINDOW = 60  # seconds that are looked back
BUCKET = 10  # seconds; the window moves on in such steps
FEWEST_CALLS = 10  # in the window; below, a share says little
FAILING_SHARE = 0.5
# In one process, whatever the window says. A single call with its two retries does not reach it.
FAILURES_IN_A_ROW = 5
FIRST_COOLDOWN = 5.0  # seconds; doubled each time the probe fails
LONGEST_COOLDOWN = 120.0
JITTER = 0.2  # of the cooldown, up or down, so that not all deployments are probed at once
LEASE = 10.0  # seconds; a probe whose process died is given to another one after that


class Record(Struct, frozen=True, array_like=True):
    """A breaker that is not closed, as all processes share it."""

    state: Literal["open", "half_open"]
    until: float  # seconds since the epoch: of the cooldown, or of the probe's lease
    openings: int  # in a row
    token: str  # no two records are equal, so that each can be replaced by one process only


@dataclass(slots=True)
class Window:
    """Calls and failures of some stretch of time."""

    calls: int = 0
    failures: int = 0

    def add(self, other: "Window") -> None:
        self.calls += other.calls
        self.failures += other.failures

    @property
    def is_failing(self) -> bool:
        return self.calls >= FEWEST_CALLS and self.failures >= FAILING_SHARE * self.calls


def opened(before: Record | None, now: float) -> Record:
    """Return the record of a breaker that opens, for longer than it was `before`."""
    openings = before.openings + 1 if before else 1
    cooldown = min(FIRST_COOLDOWN * 2 ** (openings - 1), LONGEST_COOLDOWN)
    cooldown *= random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    return Record("open", now + cooldown, openings, uuid4().hex)


def probed(before: Record, now: float) -> Record:
    """Return the record of a breaker whose one probe is under way."""
    return Record("half_open", now + LEASE, before.openings, uuid4().hex)


def given_back(before: Record, now: float) -> Record:
    """Return the record of a breaker whose probe said nothing, so that another may be sent."""
    return Record("open", now, before.openings, uuid4().hex)
