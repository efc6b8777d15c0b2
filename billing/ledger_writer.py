"""One batch of the ledger, one transaction: the only code that changes the books.

Order of locks, the same in every process: usage records, then periods by their id. What was settled
is known from the rows that changed from `started` to `settled`, so nothing is booked twice.
"""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.utils import timezone
from psycopg.errors import DeadlockDetected

from billing import ledger_sql
from billing.admission import Admission
from billing.entries import Attempt, Entry, Hit, Hold, Renewal, Settle
from billing.errors import BudgetExceeded
from core.errors import DependencyDown

logger = structlog.get_logger(__name__)

Results = list[Exception | None]
TRIES = 3  # where two processes' locks have crossed


def write(entries: Sequence[Entry]) -> Results:
    """Book a batch; return for each entry nothing, or why it was refused."""
    for _ in range(TRIES):
        try:
            return _write(entries)
        except (IntegrityError, DataError) as error:
            return _write_one_by_one(entries, error)
        except (OperationalError, InterfaceError) as error:
            connection.close()
            if not isinstance(error.__cause__, DeadlockDetected):
                logger.warning("billing.database_away", error=type(error).__name__)
                break
    return [DependencyDown("The database does not answer; try again in a moment.")] * len(entries)


def close() -> None:
    """Close this thread's connection."""
    connection.close()


def _write_one_by_one(entries: Sequence[Entry], error: Exception) -> Results:
    """Let an entry that the database refuses fail alone."""
    if len(entries) == 1:
        logger.error("billing.entry_refused", error=type(error).__name__)
        return [error]
    return [result for entry in entries for result in write([entry])]


@transaction.atomic
def _write(entries: Sequence[Entry]) -> Results:
    holds = [entry for entry in entries if isinstance(entry, Hold)]
    hits = [entry for entry in entries if isinstance(entry, Hit)]
    settlements = [entry.settlement for entry in entries if isinstance(entry, Settle | Hit)]
    if not settlements:
        # Holds survive the death of this process without waiting for the disk.
        ledger_sql.commit_without_waiting()
    now = timezone.now()
    lease_expires_at = now + timedelta(seconds=settings.LEASE_SECONDS)

    ledger_sql.insert([(hit.attempt, ()) for hit in hits], now, lease_expires_at)
    settled = ledger_sql.settle(settlements)
    renewals = [entry for entry in entries if isinstance(entry, Renewal)]
    ledger_sql.renew(renewals, lease_expires_at)

    admission = Admission.begin([hold.attempt for hold in holds], settled, now)
    for row in settled:
        admission.settle(row)
    admitted, refusals = _admit(holds, admission)
    ledger_sql.insert(admitted, now, lease_expires_at)
    admission.save()
    return [refusals.get(id(entry)) for entry in entries]


def _admit(
    holds: Sequence[Hold], admission: Admission
) -> tuple[list[tuple[Attempt, list[int]]], dict[int, BudgetExceeded]]:
    """Admit in the order of arrival; return who was, and why the others were not."""
    admitted: list[tuple[Attempt, list[int]]] = []
    refusals: dict[int, BudgetExceeded] = {}
    for hold in holds:
        try:
            admitted.append((hold.attempt, admission.admit(hold.attempt)))
        except BudgetExceeded as refusal:
            refusals[id(hold)] = refusal
    return admitted, refusals
