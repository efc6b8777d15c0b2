"""A vendor's cost export against the books, by day of UTC and model; nothing is posted by it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing.corrections import books_by_day
from billing.corrections.books_by_day import Booked, Key, key_of
from billing.corrections.causes import Charged, Part, explain
from billing.corrections.exports.lines import Cost
from billing.corrections.exports.reading import CostExport

ALL_MODELS = "all models"
A_CENT = Decimal("0.01")  # no vendor rounds more than this


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one day: what was charged, what was booked, and why they differ."""

    day: date
    model: str
    charged_usd: Decimal | None  # None: the vendor does not have it
    booked_usd: Decimal | None  # None: the books do not have it
    attempts: int
    parts: tuple[Part, ...]

    @property
    def difference_usd(self) -> Decimal:
        return (self.charged_usd or Decimal(0)) - (self.booked_usd or Decimal(0))


@dataclass(frozen=True, slots=True)
class Reconciliation:
    vendor: str
    provider: str
    rows: tuple[Row, ...]

    @property
    def charged_usd(self) -> Decimal:
        return sum((row.charged_usd or Decimal(0) for row in self.rows), Decimal(0))

    @property
    def booked_usd(self) -> Decimal:
        return sum((row.booked_usd or Decimal(0) for row in self.rows), Decimal(0))

    @property
    def difference_usd(self) -> Decimal:
        return self.charged_usd - self.booked_usd

    @property
    def causes(self) -> list[tuple[str, Decimal]]:
        """Return each cause with what it makes of the whole difference, the largest first."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for row in self.rows:
            for part in row.parts:
                sums[part.cause.value] += part.amount_usd
        return sorted(sums.items(), key=lambda item: -abs(item[1]))


def reconcile(export: CostExport, provider: str) -> Reconciliation:
    """Compare the days that an export has with what was booked for a provider."""
    days = [cost.day for cost in export.costs]
    booked = books_by_day.booked(provider, min(days), max(days))
    if not any(cost.model for cost in export.costs):
        booked = _by_day_alone(booked)
    charged = _charged(export.costs)
    keys = sorted({*booked, *charged})
    rows = (_row(key, charged.get(key), booked.get(key), provider) for key in keys)
    return Reconciliation(export.vendor, provider, tuple(row for row in rows if row is not None))


def _row(key: Key, charged: Charged | None, booked: Booked | None, provider: str) -> Row | None:
    day, _ = key
    if not (charged and charged.cost_usd) and not (booked and (booked.cost_usd or booked.unpriced)):
        return None
    names = booked.names if booked else set()
    parts = explain(charged, booked, lambda: books_by_day.repriced_usd(provider, day, names))
    return Row(
        day=day,
        model=", ".join(sorted(names)) or (charged.name if charged else "") or ALL_MODELS,
        charged_usd=charged.cost_usd if charged else None,
        booked_usd=booked.cost_usd if booked else None,
        attempts=booked.attempts if booked else 0,
        parts=tuple(parts),
    )


def _charged(costs: Iterable[Cost]) -> dict[Key, Charged]:
    """Return the sums by day and model; what is for no model stays apart by its words."""
    has_models = any(cost.model for cost in costs)
    found: dict[Key, Charged] = {}
    for cost in costs:
        name = (cost.model or cost.what) if has_models else ""
        key = (cost.day, key_of(name) if name else "")
        before = found.get(key, Charged())
        found[key] = Charged(
            cost_usd=before.cost_usd + cost.cost_usd,
            rounding_usd=before.rounding_usd + _half_a_digit(cost.cost_usd),
            name=name,
        )
    return found


def _half_a_digit(amount: Decimal) -> Decimal:
    """Return how much an amount is off at most, by its last digit."""
    exponent = amount.as_tuple().exponent
    digit = Decimal(1).scaleb(exponent) if isinstance(exponent, int) else A_CENT
    return min(digit, A_CENT) / 2


def _by_day_alone(booked: dict[Key, Booked]) -> dict[Key, Booked]:
    """Put all models together, for an export that does not tell them apart."""
    days: dict[Key, Booked] = {}
    for (day, _), one in booked.items():
        all_of = days.setdefault((day, ""), Booked(set()))
        all_of.names |= one.names
        for name in _numbers():
            setattr(all_of, name, getattr(all_of, name) + getattr(one, name))
    return days


def _numbers() -> Iterator[str]:
    yield from ("attempts", "cost_usd", "estimated", "estimated_usd", "unpriced", "uncharged")
