"""The first hold of a period makes its row, with what the period has already seen."""

from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, F, Func, QuerySet, Sum, Value

from billing.models import Budget, BudgetPeriod, UsageRecord, UsageState
from billing.periods import Period


def open_period(budget_id: int, period: Period) -> None:
    """Make the row of `period`; a budget added in its midst counts what was spent and is held.

    Another process that does the same waits for this transaction, and then finds the row.
    """
    budget = Budget.objects.get(pk=budget_id)
    BudgetPeriod.objects.bulk_create(
        [BudgetPeriod(budget=budget, starts_at=period.starts_at, ends_at=period.ends_at)],
        ignore_conflicts=True,
    )
    row = BudgetPeriod.objects.select_for_update().get(budget=budget, starts_at=period.starts_at)
    if row.spent_usd or row.held_usd:
        return  # the other process was first, and has counted
    earlier = _records(budget, period)
    row.held_usd = _adopt(earlier, row)
    settled = earlier.filter(state=UsageState.SETTLED).exclude(budget_period_ids__contains=[row.pk])
    row.opening_usd = settled.aggregate(total=Sum("cost_usd"))["total"] or Decimal(0)
    row.spent_usd = row.opening_usd
    row.save(update_fields=["opening_usd", "spent_usd", "held_usd"])


def _records(budget: Budget, period: Period) -> QuerySet[UsageRecord]:
    """Return what counts on the budget and was started in the period."""
    records = UsageRecord.objects.filter(
        organization_id=budget.organization_id, started_at__gte=period.starts_at
    )
    if budget.user_id is not None:
        records = records.filter(user_id=budget.user_id)
    if budget.api_key_id is not None:
        records = records.filter(api_key_id=budget.api_key_id)
    return records


def _adopt(records: QuerySet[UsageRecord], period: BudgetPeriod) -> Decimal:
    """Let calls that are running settle on the period too; return what they hold."""
    running = list(
        records.filter(state=UsageState.STARTED)
        .exclude(budget_period_ids__contains=[period.pk])
        .select_for_update()
        .order_by("pk")
        .values_list("pk", "hold_usd")
    )
    UsageRecord.objects.filter(pk__in=[pk for pk, _ in running]).update(
        budget_period_ids=Func(
            F("budget_period_ids"),
            Value(period.pk, BigIntegerField()),
            function="array_append",
            output_field=ArrayField(BigIntegerField()),
        )
    )
    return sum((hold for _, hold in running), Decimal(0))
