"""Holds that a crash of PostgreSQL may have lost are made again before anything else is booked.

A hold does not wait for the disk, and the settlement of a lost one would find no record and change
nothing. One that is known is left alone, so all calls that are open can be told again.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import structlog

from billing import ledger_writer
from billing.batch import Results
from billing.entries import Attempt, Entry, Hold, Settle
from billing.errors import CommitUnknown
from core.database import AWAY
from core.errors import DependencyDown

logger = structlog.get_logger(__name__)


class OpenCalls:
    """The calls of an event loop that are held and not settled."""

    def __init__(self) -> None:
        self.are_doubtful = False  # whether PostgreSQL may have forgotten some
        self._attempts: dict[UUID, Attempt] = {}

    @property
    def doubtful(self) -> list[Attempt]:
        """The calls to hold again."""
        return list(self._attempts.values()) if self.are_doubtful else []

    def note(self, entries: Sequence[Entry], results: Results) -> None:
        """Remember what has begun and what has ended with a batch."""
        self.are_doubtful = any(isinstance(result, DependencyDown) for result in results)
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, Exception):
                continue
            if isinstance(entry, Hold):
                self._attempts[entry.attempt.id] = entry.attempt
            elif isinstance(entry, Settle):
                self._attempts.pop(entry.settlement.usage_id, None)


def write(
    entries: Sequence[Entry], doubtful: Sequence[Attempt], *, may_be_written: bool = False
) -> Results:
    """Book a batch after making sure that the doubtful calls are in the books."""
    if doubtful and not _hold_again(doubtful):
        down = CommitUnknown if may_be_written else DependencyDown
        return [down(AWAY) for _ in entries]
    return ledger_writer.write(entries, may_be_written=may_be_written)


def _hold_again(attempts: Sequence[Attempt]) -> bool:
    """Return whether all are known; where there is no room any more, one is held with nothing."""
    results = ledger_writer.write([Hold(one) for one in attempts], may_be_written=True)
    if any(isinstance(result, DependencyDown) for result in results):
        return False
    refused = [
        one for one, result in zip(attempts, results, strict=True) if isinstance(result, Exception)
    ]
    if not refused:
        return True
    logger.warning("billing.held_without_room", calls=len(refused))
    free = [Hold(replace(one, hold_usd=Decimal(0))) for one in refused]
    results = ledger_writer.write(free, may_be_written=True)
    return not any(isinstance(result, DependencyDown) for result in results)
