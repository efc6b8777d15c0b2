"""The ledger's set-based statements: whole batches in one round trip each.

The ORM's `bulk_update` writes a CASE with a branch for each row and column; these take arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from billing.entries import Renewal, Settlement
from billing.models import BudgetPeriod

# A row is settled once: only a `started` one changes, and only the rows returned have changed.
SETTLE = """
UPDATE billing_usagerecord AS u SET
    state = 'settled', outcome = v.outcome, finish_reason = v.finish_reason,
    error_class = v.error_class, input_tokens = v.input_tokens,
    cached_input_tokens = v.cached_input_tokens, cache_write_tokens = v.cache_write_tokens,
    output_tokens = v.output_tokens, reasoning_tokens = v.reasoning_tokens,
    is_estimated = v.is_estimated, cost_usd = v.cost_usd, ttft_ms = v.ttft_ms,
    duration_ms = v.duration_ms, model_served = v.model_served
FROM unnest(
    %s::uuid[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::int[], %s::int[],
    %s::int[], %s::bool[], %s::numeric[], %s::int[], %s::int[], %s::text[], %s::bool[]
) AS v(
    id, outcome, finish_reason, error_class, input_tokens, cached_input_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, is_estimated, cost_usd, ttft_ms,
    duration_ms, model_served, is_swept
)
WHERE u.id = v.id AND u.state = 'started' AND (NOT v.is_swept OR u.lease_expires_at < now())
RETURNING u.id, u.hold_usd, u.cost_usd, u.budget_period_ids
"""
RENEW = """
UPDATE billing_usagerecord AS u SET lease_expires_at = %s, output_tokens = v.output_tokens
FROM unnest(%s::uuid[], %s::int[]) AS v(id, output_tokens)
WHERE u.id = v.id AND u.state = 'started'
"""
SAVE_PERIODS = """
UPDATE billing_budgetperiod AS p SET spent_usd = v.spent_usd, held_usd = v.held_usd
FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[]) AS v(id, spent_usd, held_usd)
WHERE p.id = v.id
"""


@dataclass(frozen=True, slots=True)
class SettledRow:
    """A usage record that this transaction has settled."""

    id: UUID
    hold_usd: Decimal
    cost_usd: Decimal | None
    budget_period_ids: list[int]


def commit_without_waiting() -> None:
    """Let this transaction's commit return before it is on disk."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO OFF")


def settle(settlements: Sequence[Settlement]) -> list[SettledRow]:
    """Settle what is still open, and return what that was."""
    if not settlements:
        return []
    columns = list(zip(*map(_values, settlements), strict=True))
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, [list(column) for column in columns])
        return [SettledRow(*row) for row in cursor.fetchall()]


def renew(renewals: Sequence[Renewal], lease_expires_at: datetime) -> None:
    """Push the leases of calls that are alive, and note what they have produced."""
    if not renewals:
        return
    ids = [renewal.usage_id for renewal in renewals]
    tokens = [renewal.output_tokens for renewal in renewals]
    with connection.cursor() as cursor:
        cursor.execute(RENEW, [lease_expires_at, ids, tokens])


def save(periods: Sequence[BudgetPeriod]) -> None:
    """Write the amounts of periods that this transaction has locked."""
    if not periods:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            SAVE_PERIODS,
            [
                [period.pk for period in periods],
                [period.spent_usd for period in periods],
                [period.held_usd for period in periods],
            ],
        )


def _values(settlement: Settlement) -> tuple[Any, ...]:
    usage = settlement.usage
    return (
        settlement.usage_id,
        str(settlement.outcome),
        settlement.finish_reason,
        settlement.error_class,
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        settlement.is_estimated,
        settlement.cost_usd,
        settlement.ttft_ms,
        settlement.duration_ms,
        settlement.model_served,
        settlement.is_swept,
    )
