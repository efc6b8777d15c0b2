"""Calendar periods of budgets, in the budget's own time zone."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.db import models

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # of a budget that never resets


class PeriodKind(models.TextChoices):
    DAY = "day", "Day"
    WEEK = "week", "Week"
    MONTH = "month", "Month"
    TOTAL = "total", "Total"


@dataclass(frozen=True, slots=True)
class Period:
    """From `starts_at` until just before `ends_at`; a total has no end."""

    starts_at: datetime
    ends_at: datetime | None


def period_at(moment: datetime, *, kind: str, time_zone: str) -> Period:
    """Return the day, week (from Monday), month or total that `moment` lies in."""
    if kind == PeriodKind.TOTAL:
        return Period(BEGINNING, None)
    zone = ZoneInfo(time_zone)
    first = moment.astimezone(zone).date()
    if kind == PeriodKind.DAY:
        after = first + timedelta(days=1)
    elif kind == PeriodKind.WEEK:
        first -= timedelta(days=first.weekday())
        after = first + timedelta(days=7)
    else:
        first = first.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
    # Midnights of the calendar, not 24 hours: a day of a clock change has 23 or 25.
    return Period(
        datetime.combine(first, time(), zone).astimezone(UTC),
        datetime.combine(after, time(), zone).astimezone(UTC),
    )


def validate_time_zone(name: str) -> None:
    """Raise `ValidationError` unless the zone exists."""
    if name not in available_timezones():
        raise ValidationError(f"There is no time zone {name!r}.")
