"""What a new period has to count beside usage records: adjustments, and dropped months."""

from decimal import Decimal
from typing import TypeVar
from zoneinfo import ZoneInfo

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, F, Func, Model, Q, QuerySet, Sum, Value

from billing.models import (
    Adjustment,
    Budget,
    BudgetPeriod,
    CorrectionState,
    DroppedSpending,
    DroppedUsage,
)
from billing.periods import BEGINNING

Row = TypeVar("Row", bound=Model)


def counted(rows: QuerySet[Row], budget: Budget) -> QuerySet[Row]:
    """Return those of adjustments, or of the sums of dropped months, that a budget counts."""
    rows = rows.filter(organization_id=budget.organization_id)
    if budget.user_id is not None:
        rows = rows.filter(user_id=budget.user_id)
    if budget.api_key_id is not None:
        rows = rows.filter(api_key_id=budget.api_key_id)
    if budget.prompt_name:
        rows = rows.filter(prompt_name=budget.prompt_name)
    if budget.model:
        rows = rows.filter(model_asked=budget.model)
    if budget.tag:
        rows = rows.filter(tags__contains=[budget.tag])
    return rows


def adopt_adjustments(budget: Budget, period: BudgetPeriod) -> Decimal:
    """Let the adjustments of a new period's days count on it; return their sum.

    Where they would leave less than nothing spent, they are left out.
    """
    rows = _posted(budget, period)
    total = rows.aggregate(total=Sum("amount_usd"))["total"] or Decimal(0)
    if period.opening_usd + total < 0:
        return Decimal(0)
    rows.update(budget_period_ids=with_period(period.pk))
    return total


def with_period(period_id: int) -> Func:
    """Return an expression: the periods that a row names, and one more."""
    return Func(
        F("budget_period_ids"),
        Value(period_id, BigIntegerField()),
        function="array_append",
        output_field=ArrayField(BigIntegerField()),
    )


def dropped_usd(budget: Budget, period: BudgetPeriod) -> Decimal:
    """Return what records of the new period have cost that were dropped, and note it down.

    Only totals reach back to months that can be dropped.
    """
    if period.starts_at > BEGINNING:
        return Decimal(0)
    months = (
        counted(DroppedUsage.objects.order_by(), budget)
        .values_list("month_id")
        .annotate(total=Sum("cost_usd"))
    )
    rows = [
        DroppedSpending(month_id=month_id, period_id=period.pk, opening_usd=total)
        for month_id, total in months
    ]
    DroppedSpending.objects.bulk_create(rows)
    return sum((row.opening_usd for row in rows), Decimal(0))


def _posted(budget: Budget, period: BudgetPeriod) -> QuerySet[Adjustment]:
    """Return the posted adjustments of a period's days, in the budget's own calendar."""
    zone = ZoneInfo(budget.time_zone)
    posted = counted(Adjustment.objects.all(), budget).filter(
        correction__state=CorrectionState.POSTED
    )
    if period.starts_at > BEGINNING:
        first = period.starts_at.astimezone(zone).date()
        posted = posted.filter(Q(at=None, day__gte=first) | Q(at__gte=period.starts_at))
    if period.ends_at is not None:
        after = period.ends_at.astimezone(zone).date()
        posted = posted.filter(Q(at=None, day__lt=after) | Q(at__lt=period.ends_at))
    return posted
