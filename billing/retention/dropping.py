"""Months leave the database once they are in a file; what they have cost stays."""

from datetime import date

from django.db import connection, transaction
from django.utils import timezone

from billing.models import DroppedMonth, RollupProgress, UsageRecord, UsageState
from billing.retention.exporting import Export
from billing.retention.partitions import (
    LOCK_TIMEOUT,
    TABLE,
    first_day,
    months,
    months_after,
    table_of,
)
from core.errors import AppError

# By all that budgets tell apart, so that one added later can still count it.
KEEP_USAGE = """
INSERT INTO billing_droppedusage (
    month_id, organization_id, user_id, api_key_id, prompt_name, model_asked, provider,
    model_served, tags, attempts, cost_usd
)
SELECT %s, organization_id, user_id, api_key_id, prompt_name, model_asked, provider, model_served,
    tags, count(*), coalesce(sum(cost_usd), 0)
FROM {table}
GROUP BY organization_id, user_id, api_key_id, prompt_name, model_asked, provider, model_served,
    tags
"""
# For `check_books`: what periods say of these records.
KEEP_SPENDING = """
INSERT INTO billing_droppedspending (month_id, period_id, spent_usd, overrun_usd, opening_usd)
SELECT %s, period_id, coalesce(sum(spent), 0), coalesce(sum(overrun), 0), coalesce(sum(opening), 0)
FROM (
    SELECT period_id, cost_usd AS spent, greatest(cost_usd - hold_usd, 0) AS overrun, 0 AS opening
    FROM {table}, unnest(budget_period_ids) AS period_id
    WHERE cost_usd > 0
    UNION ALL
    SELECT p.id, 0, 0, u.cost_usd
    FROM billing_budgetperiod AS p
    JOIN billing_budget AS b ON b.id = p.budget_id
    JOIN {table} AS u ON u.organization_id = b.organization_id
        AND u.started_at >= p.starts_at AND (p.ends_at IS NULL OR u.started_at < p.ends_at)
        AND (b.user_id IS NULL OR u.user_id = b.user_id)
        AND (b.api_key_id IS NULL OR u.api_key_id = b.api_key_id)
        AND (b.prompt_name = '' OR u.prompt_name = b.prompt_name)
        AND (b.model = '' OR u.model_asked = b.model)
        AND (b.tag = '' OR b.tag = ANY (u.tags))
        AND NOT p.id = ANY (u.budget_period_ids)
    WHERE p.opening_usd > 0 AND u.cost_usd > 0
) AS of_period
GROUP BY period_id
"""


class MonthStays(AppError):
    """A month cannot be dropped, or not yet."""

    code = "month_stays"
    http_status = 409


def check_can_drop(month: date) -> None:
    """Raise `MonthStays`, with why, unless the month's records are needed by nobody."""
    if month not in months():
        raise MonthStays(f"{month:%Y-%m} has no partition.")
    # The month before this one overlaps weeks, and months of zones east of Greenwich, that run.
    if month >= months_after(first_day(timezone.now()), -1):
        allowed = months_after(month, 2)
        raise MonthStays(
            f"Budgets' periods of {month:%Y-%m} may still be running. It can go from {allowed} on."
        )
    begins = UsageRecord.objects.filter(state=UsageState.STARTED).order_by("started_at")
    oldest = begins.values_list("started_at", flat=True).first()
    if oldest is not None and first_day(oldest) <= month:
        raise MonthStays("Calls of this month, or of an earlier one, are not settled yet.")
    covered = RollupProgress.objects.values_list("covered_until", flat=True).first()
    if covered is None or first_day(covered) <= month:
        raise MonthStays("The reports have not summed the month up yet. Let the worker run.")


@transaction.atomic
def drop_month(export: Export) -> DroppedMonth:
    """Drop the records of an exported month; what they cost stays, by all that budgets tell apart.

    Raises `MonthStays` when they are needed, or are not what the file has; nothing changes then.
    Calls wait while the partition leaves the table: as long as its rows are counted.
    """
    check_can_drop(export.month)
    table = table_of(export.month)
    dropped = DroppedMonth.objects.create(
        month=export.month,
        records=export.records,
        file_name=export.path.name,
        sha256=export.sha256,
    )
    with connection.cursor() as cursor:
        for statement in (KEEP_USAGE, KEEP_SPENDING):
            cursor.execute(statement.format(table=table), [dropped.pk])
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        cursor.execute(f"ALTER TABLE {TABLE} DETACH PARTITION {table}")
        cursor.execute(f"SELECT count(*), bool_or(state = 'started') FROM {table}")  # noqa: S608 - our own name
        found, is_open = cursor.fetchone() or (0, None)
        if found != export.records or is_open:
            raise MonthStays("The month has changed since it was exported. Export it again.")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"DROP TABLE {table}")
    return dropped
