"""From which day to which: what a report is about, in the installation's time zone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.utils import timezone

from core.errors import InvalidRequest

MOST_DAYS = 3 * 366
MOST_DAYS_BY_HOUR = 3


@dataclass(frozen=True, slots=True)
class Span:
    """Whole days, from the first to the last."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def starts_at(self) -> datetime:
        return _midnight(self.first)

    @property
    def ends_at(self) -> datetime:
        """The moment after it."""
        return _midnight(self.last + timedelta(days=1))

    @property
    def before(self) -> "Span":
        """As many days, just before."""
        return Span(self.first - timedelta(days=self.days), self.first - timedelta(days=1))

    @property
    def is_by_hour(self) -> bool:
        """Whether it is so short that it is looked at by the hour."""
        return self.days <= MOST_DAYS_BY_HOUR

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def _last_month(today: date) -> Span:
    last = today.replace(day=1) - timedelta(days=1)
    return Span(last.replace(day=1), last)


PRESETS: dict[str, tuple[str, Callable[[date], Span]]] = {
    "today": ("Today", lambda today: Span(today, today)),
    "7": ("7 days", lambda today: Span(today - timedelta(days=6), today)),
    "30": ("30 days", lambda today: Span(today - timedelta(days=29), today)),
    "90": ("90 days", lambda today: Span(today - timedelta(days=89), today)),
    "month": ("This month", lambda today: Span(today.replace(day=1), today)),
    "last-month": ("Last month", _last_month),
}
DEFAULT = "30"


def parse(query: Mapping[str, str]) -> Span:
    """Return what `from` and `to` say (or `period`, a preset); else the last 30 days.

    Raises `InvalidRequest` for what is no date, and for a span that is none or too long.
    """
    today = timezone.localdate()
    if not (query.get("from") or query.get("to")):
        name = query.get("period") or DEFAULT
        if name not in PRESETS:
            raise InvalidRequest(f"There is no period {name!r}.", param="period")
        return PRESETS[name][1](today)
    last = _date(query, "to") or today
    first = _date(query, "from") or last - timedelta(days=29)
    if first > last:
        raise InvalidRequest("“from” is after “to”.", param="from")
    span = Span(first, last)
    if span.days > MOST_DAYS:
        raise InvalidRequest(f"Ask for {MOST_DAYS} days at most.", param="from")
    return span


def _date(query: Mapping[str, str], name: str) -> date | None:
    text = query.get(name)
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if not 1970 <= day.year <= 2200 or len(text) != 10:
        raise InvalidRequest(f"“{name}” is no date such as 2026-11-21.", param=name)
    return day


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.get_current_timezone())
