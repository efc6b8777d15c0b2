"""Which budgets have come to a threshold, or will not last, and who is to know."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal

from django.db.models import Q, QuerySet
from django.utils import timezone

from billing.alerts import words
from billing.alerts.clock import A_DAY, Clock
from billing.alerts.forecast import forecast_usd
from billing.alerts.recording import new_ones, record
from billing.models import (
    Alert,
    AlertChannel,
    AlertKind,
    AlertRule,
    BudgetPeriod,
)

# A period that is over is looked at so much longer: calls that it began end in it, and a worker
# that was away misses nothing.
LATE = A_DAY


def find(clock: Clock = timezone.now) -> int:
    """Record an alert for each threshold and forecast that is new; return how many.

    Safe in several workers at once: a budget, period and threshold is one alert.
    """
    now = clock()
    rules: dict[int, list[AlertRule]] = defaultdict(list)
    for rule in AlertRule.objects.filter(is_active=True, budget__is_active=True):
        rules[rule.budget_id].append(rule)
    found = [
        alert
        for period in _periods(rules, now)
        for alert in _alerts_of(period, _in_force(rules[period.budget_id], period), now)
    ]
    return sum(record(alert, channels_of(alert)) for alert in new_ones(found))


def channels_of(alert: Alert) -> QuerySet[AlertChannel]:
    """Return the channels of the rules that ask for this alert."""
    rules = AlertRule.objects.filter(is_active=True, budget=alert.budget)
    if alert.kind == AlertKind.THRESHOLD:
        rules = rules.filter(thresholds__contains=[alert.facts["threshold_percent"]])
    elif alert.kind == AlertKind.FORECAST:
        rules = rules.filter(on_forecast=True)
    return AlertChannel.objects.filter(is_active=True, rules__in=rules).distinct()


def _periods(budget_ids: Collection[int], now: datetime) -> QuerySet[BudgetPeriod]:
    """Return the periods of budgets that are running or have ended lately."""
    return BudgetPeriod.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=now - LATE),
        budget__in=budget_ids,
        starts_at__lte=now,
        spent_usd__gt=0,
    ).select_related("budget__organization")


def _in_force(rules: list[AlertRule], period: BudgetPeriod) -> list[AlertRule]:
    """Return the rules that were there before the period ended."""
    ends_at = period.ends_at
    return [rule for rule in rules if ends_at is None or rule.changed_at < ends_at]


def _alerts_of(period: BudgetPeriod, rules: list[AlertRule], now: datetime) -> Iterator[Alert]:
    limit_usd = period.budget.limit_usd
    thresholds = {percent for rule in rules for percent in rule.thresholds}
    for percent in sorted(thresholds):
        if period.spent_usd * 100 >= limit_usd * percent:
            yield words.threshold(period, percent, now)
    is_reached = period.spent_usd >= limit_usd
    if is_reached and any(percent <= 100 for percent in thresholds):
        return  # that the limit would be exceeded is no news any more
    if any(rule.on_forecast for rule in rules):
        yield from _forecast_of(period, limit_usd, now)


def _forecast_of(period: BudgetPeriod, limit_usd: Decimal, now: datetime) -> Iterator[Alert]:
    if period.ends_at is None or period.ends_at <= now:
        return
    expected = forecast_usd(
        period.spent_usd, starts_at=period.starts_at, ends_at=period.ends_at, now=now
    )
    if expected is not None and expected > limit_usd:
        yield words.forecast(period, expected, now)
