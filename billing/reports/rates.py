"""What US dollars of a span are worth in the display currency: each day's at its own rate."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from billing.currency import Money
from billing.models import DisplayCurrency, ExchangeRate
from billing.reports.spans import Span


@dataclass(frozen=True, slots=True)
class Rates:
    """The rate of each day of a span; days are those of the installation's time zone."""

    code: str
    symbol: str
    by_day: Mapping[date, Decimal]
    note: str  # what a page has to say of them

    def as_columns(self) -> tuple[list[Any], list[Decimal], str]:
        """Return the midnights, the rates, and the time zone whose midnights they are."""
        zone = timezone.get_current_timezone_name()
        midnights = [Span(day, day).starts_at for day in self.by_day]
        return midnights, list(self.by_day.values()), zone


def rates_of(span: Span) -> Rates | None:
    """Return the rates of a span; None without a display currency, or before its first rate."""
    currency = DisplayCurrency.objects.first()
    if currency is None:
        return None
    rows = ExchangeRate.objects.filter(code=currency.code, day__lte=span.last).order_by("day")
    known = dict(rows.values_list("day", "rate"))
    if not known:
        return None
    entered = list(known)
    days = [span.first + timedelta(days=at) for at in range(span.days)]
    # The last one entered until then; what lies before the first one has that.
    taken = {day: entered[max(0, bisect_right(entered, day) - 1)] for day in days}
    return Rates(
        currency.code,
        currency.symbol,
        {day: known[source] for day, source in taken.items()},
        _note(currency, known, taken),
    )


def money(rates: Rates | None, usd: Decimal, worth: Decimal) -> Money:
    """Return an amount with its worth, where there is a display currency."""
    return Money(usd) if rates is None else Money(usd, worth, rates.symbol)


def _note(
    currency: DisplayCurrency, known: Mapping[date, Decimal], taken: Mapping[date, date]
) -> str:
    """Say at which rates amounts are, and which days have none of their own."""
    sources = sorted(set(taken.values()))
    if len(sources) == 1:
        rate = f"{known[sources[0]].normalize():f}"
        said = f"at the rate of {sources[0]} ($1 was {currency.symbol}{rate})"
    else:
        said = "each day’s at the rate of that day"
    missing = [day for day, source in taken.items() if day != source]
    note = f"Amounts are in {currency.code}, {said}; the books are in US dollars."
    if len(sources) > 1 and missing:
        count = "1 day has" if len(missing) == 1 else f"{len(missing)} days have"
        note += f" {count} no rate of {'its' if len(missing) == 1 else 'their'} own, the last on "
        note += f"{missing[-1]}, and the last one known before."
    return note
