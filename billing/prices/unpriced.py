"""Calls that nobody can price: their model has no price, or their price has no rate for them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import add
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, F, Func, JSONField, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import JSONObject
from django.utils import timezone

from billing.models import RollupProgress, UsageDay, UsageModelDay, UsageRecord, UsageState
from billing.pricing import CLASSES, SELDOM_ALIKE

DAYS = 90  # how far back is looked
A_DAY_OF_THE_CALENDAR = timedelta(hours=26)  # at most, where clocks change
TOKENS = reduce(add, (F(f"{name}_tokens") for name in CLASSES))


@dataclass(frozen=True, slots=True)
class Unpriced:
    """What one model was asked that has no price, or no rate for it."""

    provider: str
    model: str
    asked: str  # the name that callers used
    service_tier: str
    calls: int
    tokens: int
    since: datetime
    until: datetime

    @property
    def priced_as(self) -> str:
        """Return the name to set a price for: vendors add a date to the name that was asked for."""
        return self.asked if self.model.startswith(self.asked) else self.model

    @property
    def query(self) -> str:
        """Return the end of an address that begins a price for the model."""
        return "?" + urlencode({"provider": self.provider, "model": self.priced_as})


def models_without_price() -> list[Unpriced]:
    """Return the models of the last 90 days that were called without a price, the most used first.

    A call that failed before it cost anything needs no price.
    """
    calls = _calls(UsageModelDay.objects.filter(unpriced__gt=0))
    return _grouped(calls.filter(price__isnull=True, cost_usd=None))


def tiers_without_rate() -> list[Unpriced]:
    """Return the models of the last 90 days that were served in tiers their price did not know."""
    served = Func(
        JSONObject(service_tier=F("service_tier")),
        function="jsonb_build_array",
        output_field=JSONField(),
    )
    is_unknown = ~Q(price__has_key="tiers") | ~Q(price__tiers__contains=served)
    calls = _calls(UsageDay.objects.exclude(service_tier=""))
    return _grouped(calls.filter(is_unknown, price__isnull=False).exclude(service_tier=""))


def classes_without_rate() -> list[Unpriced]:
    """Return the models of the last 90 days that took tokens whose class had no rate."""
    is_unknown, has_any = Q(), Q()
    for name in SELDOM_ALIKE:
        any_of_it = Q(**{f"{name}_tokens__gt": 0})
        is_unknown |= any_of_it & ~Q(price__has_key=f"{name}_usd")
        has_any |= any_of_it
    calls = _calls(UsageModelDay.objects.filter(has_any))
    return _grouped(calls.filter(is_unknown, price__isnull=False))


def _calls(days: QuerySet[Any]) -> QuerySet[UsageRecord]:
    """Return the settled calls of the last 90 days, of those days alone that sums point to.

    Calls that are not summed up yet are among them. Without this every call would be read.
    """
    begin = timezone.now() - timedelta(days=DAYS)
    settled = UsageRecord.objects.filter(state=UsageState.SETTLED, started_at__gte=begin)
    asked = settled.filter(is_cache_hit=False)
    progress = RollupProgress.objects.first()
    if progress is None or progress.covered_until is None:
        return asked
    found = days.filter(starts_at__gt=begin - A_DAY_OF_THE_CALENDAR).order_by()
    wanted = Q(started_at__gte=progress.covered_until)
    for organization_id, day in found.values_list("organization_id", "starts_at").distinct():
        wanted |= Q(
            organization_id=organization_id,
            started_at__gte=day,
            started_at__lt=day + A_DAY_OF_THE_CALENDAR,
        )
    return asked.filter(wanted)


def _grouped(calls: QuerySet[UsageRecord]) -> list[Unpriced]:
    rows: Any = (
        calls.values("provider", "service_tier", model=F("model_served"), asked=F("model_asked"))
        .order_by()
        .annotate(
            calls=Count("pk"),
            tokens=Sum(TOKENS),
            since=Min("started_at"),
            until=Max("started_at"),
        )
        .order_by("-calls", "provider", "model", "asked")
    )
    return [Unpriced(**row) for row in rows]
