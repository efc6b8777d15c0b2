"""What the books say of a provider's days and models, to be held against what it charged."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from billing.corrections.current_prices import DATE, CurrentPrices
from billing.models import (
    Adjustment,
    CorrectionState,
    Price,
    UsageDay,
    UsageRecord,
    UsageState,
)
from billing.pricing import TokenUsage, cost_usd

CHUNK = 2000
FAILED = Q(outcome__in=["failed", "stopped", "interrupted"])

Key = tuple[date, str]


@dataclass(slots=True)
class Booked:
    """What the books have of one model on one day of UTC."""

    names: set[str]
    attempts: int = 0
    cost_usd: Decimal = Decimal(0)  # with the adjustments of that day
    estimated: int = 0
    estimated_usd: Decimal = Decimal(0)
    unpriced: int = 0
    uncharged: int = 0  # attempts that ended early and were booked with no tokens at all


def providers() -> list[str]:
    """Return the providers that have prices or were called."""
    priced = Price.objects.order_by().values_list("provider")
    return sorted(name for (name,) in priced.union(UsageDay.objects.values_list("provider")))


def key_of(model: str) -> str:
    """Return what the names of one model have in common: neither its date nor the order of words.

    "claude-3-7-sonnet-20250219" and "claude-sonnet-3-7" are the same.
    """
    return "-".join(sorted(re.split(r"[-_ ]+", DATE.sub("", model.strip().lower()))))


def booked(provider: str, first: date, last: date) -> dict[Key, Booked]:
    """Return what was booked on each of the days, for each model."""
    found: dict[Key, Booked] = defaultdict(lambda: Booked(set()))
    for row in _sums(_records(provider, first, last)):
        one = found[row["day"], key_of(row["model_served"])]
        one.names.add(row["model_served"])
        one.attempts += row["attempts"]
        one.cost_usd += row["cost"] or 0
        one.estimated += row["estimated"]
        one.estimated_usd += row["estimated_usd"] or 0
        one.unpriced += row["unpriced"]
        one.uncharged += row["uncharged"]
    for day, model, amount in _adjusted(provider, first, last):
        found[day, key_of(model)].cost_usd += amount
    return dict(found)


def repriced_usd(provider: str, day: date, names: Iterable[str]) -> Decimal:
    """Return what a day's attempts at a model would cost at the prices that are in force now."""
    prices = CurrentPrices(provider)
    records = _records(provider, day, day).filter(model_served__in=list(names)).order_by()
    total = Decimal(0)
    for record in records.iterator(CHUNK):
        price = prices.of(record.model_served)
        if price is None or record.usage == TokenUsage():
            total += record.cost_usd or 0
        else:
            total += cost_usd(price, record.usage, record.service_tier)
    return total


def _records(provider: str, first: date, last: date) -> QuerySet[UsageRecord]:
    return UsageRecord.objects.filter(
        state=UsageState.SETTLED,
        is_cache_hit=False,
        provider=provider,
        started_at__gte=datetime.combine(first, time(), UTC),
        started_at__lt=datetime.combine(last, time(), UTC) + timedelta(days=1),
    )


def _sums(records: QuerySet[UsageRecord]) -> Any:
    return (
        records.order_by()
        .annotate(day=TruncDate("started_at", tzinfo=UTC))
        .values("day", "model_served")
        .annotate(
            attempts=Count("pk"),
            cost=Sum("cost_usd"),
            estimated=Count("pk", filter=Q(is_estimated=True)),
            estimated_usd=Sum("cost_usd", filter=Q(is_estimated=True)),
            unpriced=Count("pk", filter=Q(cost_usd=None)),
            uncharged=Count("pk", filter=FAILED & Q(cost_usd=0)),
        )
    )


def _adjusted(provider: str, first: date, last: date) -> Iterable[tuple[date, str, Decimal]]:
    return (
        Adjustment.objects.filter(
            correction__state=CorrectionState.POSTED, provider=provider, day__range=(first, last)
        )
        .order_by()
        .values_list("day", "model_served")
        .annotate(total=Sum("amount_usd"))
    )
