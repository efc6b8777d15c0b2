"""Whether the books balance: what budgets say against the usage records that count on them."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing import books_sql, reports
from billing.models import BookCheck

logger = structlog.get_logger(__name__)

GRACE = timedelta(seconds=60)  # that the sweeper is given after a lease has run out
MOST_LINES = 1000  # kept of one check
NIGHT_BEGINS = 2  # o'clock, UTC

Row = tuple[Any, ...]


def differences() -> list[str]:
    """Return a line for each thing that is not as it must be; none: the books balance."""
    overdue_since = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS) - GRACE
    return [
        *_found(books_sql.SUMS, _sums_differ),
        *_found(books_sql.OVERSPENT, _is_overspent),
        *_found(books_sql.UNCOUNTED, _is_uncounted),
        *_found(books_sql.CORRECTED, _is_corrected_otherwise),
        *_found(books_sql.TWICE, _is_there_twice),
        *_found(books_sql.OVERDUE, _is_overdue, [overdue_since]),
    ]


def check(night: datetime | None = None) -> BookCheck:
    """Look all books over and keep the result; `night` for the one check of a night."""
    started_at, began_at = timezone.now(), time.monotonic()
    found = [*differences(), *reports.differences()]
    if found:
        logger.error("billing.books_differ", count=len(found), first=found[0])
    return BookCheck.objects.create(
        night=night.date() if night else None,
        started_at=started_at,
        duration_ms=round((time.monotonic() - began_at) * 1000),
        difference_count=len(found),
        lines=found[:MOST_LINES],
    )


@transaction.atomic
def check_nightly() -> int:
    """Check the books if nobody has in this night, and return how many checks were made.

    Of several workers one does it; should it die, another begins anew.
    """
    now = timezone.now()
    if now.hour < NIGHT_BEGINS or not _is_alone():
        return 0
    if BookCheck.objects.filter(night=now.date()).exists():
        return 0
    check(now)
    return 1


def _is_alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(books_sql.LOCK)
        row = cursor.fetchone()
    return bool(row and row[0])


def _found(
    statement: str, line: Callable[..., str], parameters: list[datetime] | None = None
) -> list[str]:
    """Return a line for each row; a statement sees one moment, also while calls are running."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[Row] = cursor.fetchall()
    return [line(*row) for row in rows]


def _sums_differ(period: int, name: str, *amounts: object) -> str:
    spent, true_spent, held, true_held, overrun, true_overrun, overrun_rows = amounts
    return (
        f"Period {period} of “{name}”: spent {spent} but records say {true_spent}; "
        f"held {held} but records say {true_held}; "
        f"overrun {overrun} but records say {true_overrun} and its rows {overrun_rows}."
    )


def _is_overspent(period: int, name: str, limit: object, *amounts: object) -> str:
    spent, held, overrun = amounts
    return (
        f"Period {period} of “{name}”: spent {spent} and held {held} are above what was admitted "
        f"({limit}) and overrun ({overrun})."
    )


def _is_uncounted(period: int, name: str, opening: object, cost: object, running: int) -> str:
    return (
        f"Period {period} of “{name}”: opened with {opening}, but calls that do not name it cost "
        f"{cost}; {running} running calls do not count on it."
    )


def _is_corrected_otherwise(correction: int, period: int, name: str, *amounts: object) -> str:
    cost, true_cost = amounts
    return (
        f"Correction {correction} on period {period} of “{name}”: its overrun says {cost} but its "
        f"adjustments {true_cost}."
    )


def _is_there_twice(usage_id: object, count: int) -> str:
    return f"Attempt {usage_id} is in the books {count} times."


def _is_overdue(usage_id: object, lease_expires_at: datetime) -> str:
    ran_out = f"{lease_expires_at:%Y-%m-%d %H:%M} UTC"
    return f"Attempt {usage_id} is open, but its lease ran out at {ran_out}."
