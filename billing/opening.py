"""The first hold of a period makes its row, with what the period has already seen.

A transaction of its own: it waits until no hold of the organization is half written, and lets none
begin, so that every call is either counted here or finds the period itself.
"""

from collections.abc import Mapping
from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import transaction
from django.db.models import BigIntegerField, F, Func, QuerySet, Sum, Value

from billing import ledger_sql
from billing.corrections import counting
from billing.models import Budget, BudgetPeriod, UsageRecord, UsageState
from billing.periods import Period


class PeriodsMissing(Exception):
    """A batch cannot be booked before these periods, by budget, are opened."""

    def __init__(self, periods: Mapping[int, Period]) -> None:
        super().__init__()
        self.periods = periods


def open_periods(periods: Mapping[int, Period]) -> None:
    """Make the rows of periods; a budget added in their midst counts what was spent and is held."""
    for budget in Budget.objects.filter(pk__in=periods).order_by("pk"):
        _open(budget, periods[budget.pk])


@transaction.atomic
def _open(budget: Budget, period: Period) -> None:
    ledger_sql.lock_organization(budget.organization_id)
    row, is_new = BudgetPeriod.objects.get_or_create(
        budget=budget, starts_at=period.starts_at, defaults={"ends_at": period.ends_at}
    )
    if not is_new:
        return  # another process was first, and has counted
    earlier = _records(budget, period)
    row.held_usd = _adopt(earlier, row)
    settled = earlier.filter(state=UsageState.SETTLED)
    row.opening_usd = settled.aggregate(total=Sum("cost_usd"))["total"] or Decimal(0)
    row.opening_usd += counting.dropped_usd(budget, row)
    row.spent_usd = row.opening_usd + counting.adopt_adjustments(budget, row)
    row.peak_usd = row.spent_usd + row.held_usd
    row.save(update_fields=["opening_usd", "spent_usd", "held_usd", "peak_usd"])


def _records(budget: Budget, period: Period) -> QuerySet[UsageRecord]:
    """Return what counts on the budget and was started in the period."""
    records = UsageRecord.objects.filter(
        organization_id=budget.organization_id, started_at__gte=period.starts_at
    )
    if period.ends_at is not None:
        records = records.filter(started_at__lt=period.ends_at)
    if budget.user_id is not None:
        records = records.filter(user_id=budget.user_id)
    if budget.api_key_id is not None:
        records = records.filter(api_key_id=budget.api_key_id)
    if budget.prompt_name:
        records = records.filter(prompt_name=budget.prompt_name)
    if budget.model:
        records = records.filter(model_asked=budget.model)
    if budget.tag:
        records = records.filter(tags__contains=[budget.tag])
    return records


def _adopt(records: QuerySet[UsageRecord], period: BudgetPeriod) -> Decimal:
    """Let calls that are running settle on the period too; return what they hold.

    The lock waits for settlements that are half written; what they have settled is not adopted.
    """
    running = list(
        records.filter(state=UsageState.STARTED)
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
