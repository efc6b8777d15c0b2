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
from billing.entries import Entry, Hit, Hold, Renewal, Settle
from billing.models import UsageRecord
from billing.usage_rows import hit_row, started_row
from core.errors import AppError, DependencyDown

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
    if not any(isinstance(entry, Settle | Hit) for entry in entries):
        # Holds survive the death of this process without waiting for the disk.
        ledger_sql.commit_without_waiting()
    now = timezone.now()
    lease_expires_at = now + timedelta(seconds=settings.LEASE_SECONDS)
    settled = ledger_sql.settle([e.settlement for e in entries if isinstance(e, Settle)])
    ledger_sql.renew([e for e in entries if isinstance(e, Renewal)], lease_expires_at)

    attempts = [entry.attempt for entry in entries if isinstance(entry, Hold)]
    admission = Admission.begin(attempts, settled, now)
    for row in settled:
        admission.settle(row)
    results, rows = [], []
    for entry in entries:
        result: Exception | None = None
        if isinstance(entry, Hold):
            try:
                period_ids = admission.admit(entry.attempt)
                rows.append(started_row(entry.attempt, period_ids, now, lease_expires_at))
            except AppError as refusal:
                result = refusal
        elif isinstance(entry, Hit):
            rows.append(hit_row(entry.attempt, entry.settlement, now))
        results.append(result)
    admission.save()
    UsageRecord.objects.bulk_create(rows)
    return results
