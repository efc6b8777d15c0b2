"""What concerns Parley itself: costs above their holds, models without a price, wrong books."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Sum
from django.utils import timezone

from accounts.models import Organization
from billing.alerts import words
from billing.alerts.clock import A_DAY, Clock
from billing.alerts.finding import channels_of
from billing.alerts.recording import new_ones, record
from billing.models import (
    Alert,
    AlertChannel,
    BookCheck,
    BudgetPeriod,
    Overrun,
    UsageRecord,
)

IN_USE = timedelta(minutes=15)


def find(clock: Clock = timezone.now) -> int:
    """Record what is new of it, safely in several workers at once; return how many."""
    now = clock()
    found = [*_overruns(now), *_corrected(now), *_unpriced(now), *_books(now)]
    return sum(record(alert, _told_of(alert)) for alert in new_ones(found))


def _told_of(alert: Alert) -> list[AlertChannel]:
    """Return who is told of Parley itself, and for a budget those of its rules; each once."""
    told = set(AlertChannel.objects.filter(is_active=True, takes_operations=True))
    if alert.budget is not None:
        told |= set(channels_of(alert))
    return list(told)


def _overruns(now: datetime) -> Iterator[Alert]:
    """Return an alert for each period with overruns of the last day."""
    recent = Overrun.objects.filter(created_at__gt=now - A_DAY, correction=None)
    sums = {
        row["period_id"]: row
        for row in recent.order_by()
        .values("period_id")
        .annotate(over_usd=Sum("over_usd"), calls=Count("pk"))
    }
    for period in BudgetPeriod.objects.filter(pk__in=sums).select_related("budget__organization"):
        row = sums[period.pk]
        yield words.overrun(period, row["over_usd"], row["calls"], now)


def _corrected(now: datetime) -> Iterator[Alert]:
    """Return an alert for each correction of the last day that went beyond a hard limit."""
    recent = Overrun.objects.filter(created_at__gt=now - A_DAY, correction__isnull=False)
    for row in recent.select_related("correction", "period__budget__organization").order_by("pk"):
        yield words.corrected(row, now)


def _unpriced(now: datetime) -> Iterator[Alert]:
    """Return an alert for each model that was lately called without a price."""
    # By organization, because so the index finds them.
    calls = UsageRecord.objects.filter(
        organization__in=list(Organization.objects.values_list("pk", flat=True)),
        started_at__gt=now - IN_USE,
        price__isnull=True,
        is_cache_hit=False,
    )
    models = calls.order_by().values_list("provider", "model_served").distinct()
    for provider, model in models:
        yield words.unpriced(provider, model, now)


def _books(now: datetime) -> Iterator[Alert]:
    """Return an alert for each check of the last day that found differences."""
    wrong = BookCheck.objects.filter(started_at__gt=now - A_DAY, difference_count__gt=0)
    for check in wrong.order_by("started_at"):
        yield words.books(check, now)
