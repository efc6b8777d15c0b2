"""A currency for people's eyes beside US dollars, which the books are kept in.

Pages write an amount with the filter `money` of `{% load billing_money %}` (or `shown` from code)
and once the tag `{% money_note %}`, which says the rate and its day. Without a display currency, or
without a rate on or before the day, they show US dollars. Nothing is ever booked or sent in it.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import TextIO

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.html import format_html

from accounts.models import User
from billing.models import DisplayCurrency, ExchangeRate
from billing.money import as_text
from core import cached
from core.errors import AppError

COLUMNS = ("day", "currency", "rate")
MOST_DAYS = 1000  # remembered at once


class RatesUnreadable(AppError):
    """A file of rates is not as it should be; says which line, and why."""

    code = "rates_unreadable"
    http_status = 400


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of US dollars, and what it is worth in the display currency where there is one."""

    usd: Decimal
    worth: Decimal | None = None
    symbol: str = ""

    @property
    def text(self) -> str:
        """Return the amount that people see."""
        if self.worth is None:
            return written(self.usd, "$")
        return written(self.worth, self.symbol)

    @property
    def hint(self) -> str:
        """Return the US dollars behind it; nothing where they are what is seen."""
        return "" if self.worth is None else written(self.usd, "$")

    @property
    def seen(self) -> Decimal:
        """The amount in the currency that people see."""
        return self.usd if self.worth is None else self.worth

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Rate:
    """What a US dollar is worth in the display currency, and since which day."""

    code: str
    symbol: str
    day: date
    rate: Decimal

    def text(self, amount_usd: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
        """Return an amount of US dollars in this currency."""
        return written(amount_usd * self.rate, self.symbol, rounding)

    @property
    def words(self) -> str:
        """Return what a page has to say of the rate."""
        worth = f"{self.rate.normalize():f}"
        return f"Amounts are in {self.code}: $1 was {self.symbol}{worth} on {self.day:%Y-%m-%d}."


def rate_of(day: date | None = None) -> Rate | None:
    """Return the rate of a day, today unless given: the last one entered until then.

    It is at most a second old. `None`: there is no display currency, or no rate yet.
    """
    wanted = day or timezone.now().astimezone(UTC).date()
    known = _rates.get(wanted)
    if known is None or cached.clock() >= known[0]:
        if len(_rates) >= MOST_DAYS:
            _rates.clear()
        known = _rates[wanted] = (cached.clock() + cached.MAX_AGE, _load(wanted))
    return known[1]


def money_of(amount_usd: Decimal, day: date | None = None) -> Money:
    """Return an amount with its worth at a day's rate, today's unless given."""
    rate = rate_of(day)
    if rate is None:
        return Money(amount_usd)
    return Money(amount_usd, amount_usd * rate.rate, rate.symbol)


def written(amount: Decimal, symbol: str, rounding: str = ROUND_HALF_EVEN) -> str:
    """Return an amount behind the symbol of its currency."""
    return f"{'-' if amount < 0 else ''}{symbol}{as_text(abs(amount), rounding)[1:]}"


def shown(amount_usd: Decimal, day: date | None = None, rounding: str = ROUND_HALF_EVEN) -> str:
    """Return HTML: the amount in the display currency, and in US dollars when pointed at."""
    dollars = written(amount_usd, "$", rounding)
    rate = rate_of(day)
    if rate is None:
        return dollars
    hint = f"{dollars}, at {rate.rate.normalize():f} {rate.code} of {rate.day:%Y-%m-%d}"
    return format_html(
        '<span class="money" title="{}">{}</span>', hint, rate.text(amount_usd, rounding)
    )


def set_rate(*, code: str, day: date, rate: Decimal, by: User | None, source: str = "") -> None:
    """Enter a day's rate, in the place of the one that was entered before.

    Raises `ValidationError`.
    """
    row = ExchangeRate.objects.filter(code=code, day=day).first()
    row = row or ExchangeRate(code=code, day=day)
    row.rate, row.entered_by, row.source = rate, by, source
    row.full_clean()
    row.save()
    _rates.clear()


@transaction.atomic
def import_rates(file: TextIO, *, by: User | None, source: str) -> int:
    """Enter the rates of a CSV file (day, currency, rate), all of them or none; return how many.

    Raises `RatesUnreadable`.
    """
    count = 0
    for number, (day, code, rate) in _rows(file):
        try:
            set_rate(
                code=code,
                day=date.fromisoformat(day),
                rate=Decimal(rate),
                by=by,
                source=source,
            )
        except ValidationError as error:
            raise RatesUnreadable(f"Line {number}: {' '.join(error.messages)}") from None
        except (ValueError, InvalidOperation):
            raise RatesUnreadable(
                f"Line {number}: it should read like 2026-11-20,EUR,0.92."
            ) from None
        count += 1
    return count


def forget() -> None:
    """Read the rates again, when the currency has been changed in this process."""
    _rates.clear()


def _rows(file: TextIO) -> Iterator[tuple[int, tuple[str, str, str]]]:
    rows = csv.reader(file)
    if tuple(name.strip().lower() for name in next(rows, [])) != COLUMNS:
        raise RatesUnreadable(f"Line 1: the columns should be {', '.join(COLUMNS)}.")
    for row in rows:
        if not row:
            continue
        if len(row) != len(COLUMNS):
            raise RatesUnreadable(f"Line {rows.line_num}: it has {len(row)} values instead of 3.")
        day, code, rate = (value.strip() for value in row)
        yield rows.line_num, (day, code, rate)


def _load(day: date) -> Rate | None:
    currency = DisplayCurrency.objects.first()
    if currency is None:
        return None
    found = ExchangeRate.objects.filter(code=currency.code, day__lte=day).order_by("-day").first()
    if found is None:
        return None
    return Rate(currency.code, currency.symbol, found.day, found.rate)


_rates: dict[date, tuple[float, Rate | None]] = {}
