"""Keeping the sums true: whole hours are made anew from their records, as often as they may change.

What may have changed is known without an index on the moment of settlement, for which each call
would pay: records that began since the last time, and those that were open then. An hour is
deleted and inserted in one transaction behind a lock: once, however many workers try.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing.models import DroppedMonth, RollupProgress, UsageDay, UsageHour, UsageModelDay
from billing.periods import BEGINNING
from billing.reports import rollup_sql

STEP = timedelta(days=1)  # of the past, in one transaction
RESTS = 9.0  # times as long as it has worked, so that a busy hour takes a tenth of a core at most

CLOCKS_DIFFER = timedelta(minutes=5)

Hour = tuple[int, datetime]  # of an organization, and when it begins


def roll_up() -> int:
    """Bring the sums up to date, and return how many hours were made anew.

    Another worker that is at it, or the rest after a long run, make it none.
    """
    if RollupProgress.objects.filter(rest_until__gt=timezone.now()).exists():
        return 0
    began_at = time.monotonic()
    count = _go_on(None, waits=False)
    rest = timedelta(seconds=RESTS * (time.monotonic() - began_at))
    RollupProgress.objects.update(rest_until=timezone.now() + rest)
    return count


def rebuild(since: datetime | None = None) -> int:
    """Make all hours from `since` on anew, or from the oldest record on; return how many.

    Sums of records that are not there any more are kept.
    """
    return _go_on(since or BEGINNING, waits=True)


def catch_up() -> int:
    """Bring the sums up to date now, and return how many hours were made anew."""
    return _go_on(None, waits=True)


def _go_on(since: datetime | None, *, waits: bool) -> int:
    """Go from `since`, or from where the sums end, to now, a transaction for each day."""
    count = 0
    while True:
        with transaction.atomic():
            progress = _locked(waits=waits)
            if progress is None:
                return count
            now, ground = _row(rollup_sql.SETTLED_GROUND)
            oldest = oldest_hour() or now
            since = max(since or progress.covered_until or oldest, oldest)
            until = min(now + CLOCKS_DIFFER, since + STEP)
            count += _step(progress, since, until, ground)
        if until > now:
            return count
        since = until


def _step(progress: RollupProgress, since: datetime, until: datetime, ground: datetime) -> int:
    """Make the hours of a span anew, and those in which a record has been open; return how many."""
    # Before the sums: what is open here and settled by then is looked at again.
    still_open = _hours(rollup_sql.OPEN_HOURS)
    remembered = {(number, datetime.fromisoformat(hour)) for number, hour in progress.open_hours}
    touched = remembered | _hours(rollup_sql.HOURS_OF_SPAN, since=since, until=until)
    _replace(touched, progress)
    progress.covered_until = min(until, ground)
    progress.open_hours = [[number, hour.isoformat()] for number, hour in sorted(still_open)]
    progress.updated_at = timezone.now()
    progress.save()
    return len(touched)


def _locked(*, waits: bool) -> RollupProgress | None:
    """Return the row of progress, held until the transaction ends; None where another has it."""
    with connection.cursor() as cursor:
        # Ours in READ COMMITTED: what is read after the wait is what the other has written.
        function = "pg_advisory_xact_lock" if waits else "pg_try_advisory_xact_lock"
        cursor.execute(f"SELECT {function}(hashtextextended('billing.rollups', 0))::text")
        row = cursor.fetchone()
    if not waits and row == ("false",):
        return None
    return RollupProgress.objects.get_or_create(pk=1)[0]


def _replace(hours: Iterable[Hour], progress: RollupProgress) -> None:
    wanted = sorted(hours)
    parameters: dict[str, Any] = {
        "organizations": [number for number, _ in wanted],
        "hours": [hour for _, hour in wanted],
        "time_zone": settings.TIME_ZONE,
    }
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")  # it takes longer than it saves
        cursor.execute(rollup_sql.DELETE_HOURS, parameters)
        cursor.execute(rollup_sql.INSERT_HOURS, parameters)
        if progress.time_zone != settings.TIME_ZONE:
            progress.time_zone = settings.TIME_ZONE
            parameters |= _all_hours()
            UsageDay.objects.all().delete()
            UsageModelDay.objects.all().delete()
        cursor.execute(rollup_sql.DELETE_DAYS, parameters)
        cursor.execute(rollup_sql.INSERT_DAYS, parameters)
        cursor.execute(rollup_sql.DELETE_MODEL_DAYS, parameters)
        cursor.execute(rollup_sql.INSERT_MODEL_DAYS, parameters)


def _all_hours() -> dict[str, list[Any]]:
    hours = list(UsageHour.objects.values_list("organization_id", "starts_at").distinct())
    return {
        "organizations": [number for number, _ in hours],
        "hours": [hour for _, hour in hours],
    }


def _hours(statement: str, **parameters: Any) -> set[Hour]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return {(number, hour.astimezone(UTC)) for number, hour in cursor.fetchall()}


def oldest_hour() -> datetime | None:
    """Return the first hour that has all its records; None without any."""
    moment: datetime | None = _row(rollup_sql.OLDEST)[0]
    if moment is None:
        return None
    hour = moment.replace(minute=0, second=0, microsecond=0)
    # Months end by the ids: of the first hour after a dropped one, a record may have gone with it.
    return hour + timedelta(hours=1) if DroppedMonth.objects.exists() else hour


def _row(statement: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()
