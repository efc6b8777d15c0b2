"""Corrections are proposed by one person and posted by another; the books change when they are."""

from collections.abc import Iterable, Sequence
from datetime import datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from accounts.models import User
from billing import ledger_sql
from billing.models import (
    Adjustment,
    Budget,
    BudgetPeriod,
    Correction,
    CorrectionKind,
    CorrectionState,
    Overrun,
)
from billing.periods import period_at
from core.errors import AppError


class CorrectionRefused(AppError):
    """A correction cannot be posted or declined as asked."""

    code = "correction_refused"
    http_status = 409


@transaction.atomic
def propose(
    *,
    by: User,
    reason: str,
    adjustments: Iterable[Adjustment],
    kind: CorrectionKind = CorrectionKind.MANUAL,
) -> Correction:
    """Write down a correction that waits for a second person; the books do not change."""
    rows = list(adjustments)
    if not rows:
        raise CorrectionRefused("There is nothing to correct.")
    correction = Correction.objects.create(kind=kind, reason=reason, proposed_by=by)
    for row in rows:
        row.correction = correction
    Adjustment.objects.bulk_create(rows)
    return correction


@transaction.atomic
def post(correction: Correction, *, by: User) -> Correction:
    """Add the adjustments to what was spent, on every budget that counts such calls.

    What goes beyond a hard limit is an overrun. Locks are taken in the ledger's order.
    Raises `CorrectionRefused` for the person who proposed it, for one that is decided, and where
    less than nothing would be spent.
    """
    found = _waiting(correction)
    if found.proposed_by_id == by.pk:
        raise CorrectionRefused("Somebody else has to post what you have proposed.")
    adjustments = list(found.adjustments.select_related("organization"))
    for organization_id in sorted({row.organization_id for row in adjustments}):
        ledger_sql.lock_organization(organization_id)
    _book(found, adjustments)
    return _decide(found, CorrectionState.POSTED, by)


@transaction.atomic
def decline(correction: Correction, *, by: User) -> Correction:
    """Close a correction without posting it; who proposed it may withdraw it like this."""
    return _decide(_waiting(correction), CorrectionState.DECLINED, by)


def _waiting(correction: Correction) -> Correction:
    found = Correction.objects.select_for_update().get(pk=correction.pk)
    if found.state != CorrectionState.PROPOSED:
        raise CorrectionRefused(f"It is {found.get_state_display().lower()} already.")
    return found


def _decide(correction: Correction, state: CorrectionState, by: User) -> Correction:
    correction.state = state
    correction.decided_by = by
    correction.decided_at = timezone.now()
    correction.save(update_fields=["state", "decided_by", "decided_at"])
    return correction


def _book(correction: Correction, adjustments: Sequence[Adjustment]) -> None:
    """Find each adjustment's periods and change their spent amounts, in the order of their ids."""
    budgets = Budget.objects.filter(
        organization_id__in={row.organization_id for row in adjustments}
    ).prefetch_related("periods")
    periods: dict[int, BudgetPeriod] = {}
    for row in adjustments:
        counting = [_period_of(budget, row) for budget in budgets if _counts(budget, row)]
        found = [period for period in counting if period is not None]
        periods |= {period.pk: period for period in found}
        row.budget_period_ids = sorted(period.pk for period in found)
    Adjustment.objects.bulk_update(adjustments, ["budget_period_ids"], batch_size=500)
    locked = BudgetPeriod.objects.select_for_update(of=["self"]).select_related("budget")
    for period in locked.filter(pk__in=periods).order_by("pk"):
        amounts = (row.amount_usd for row in adjustments if period.pk in row.budget_period_ids)
        _add(correction, period, sum(amounts, Decimal(0)))


def _add(correction: Correction, period: BudgetPeriod, amount: Decimal) -> None:
    """Change what was spent, in full; what a hard limit has no room for is an overrun."""
    if period.spent_usd + amount < 0:
        raise CorrectionRefused(f"Less than nothing would be spent on “{period}”.")
    over = _beyond_limit(period, amount)
    BudgetPeriod.objects.filter(pk=period.pk).update(
        spent_usd=F("spent_usd") + amount,
        overrun_usd=F("overrun_usd") + over,
        peak_usd=Greatest(
            F("peak_usd"), F("spent_usd") + F("held_usd") - F("overrun_usd") + amount - over
        ),
    )
    if over:
        Overrun.objects.create(
            correction=correction,
            period=period,
            held_usd=amount - over,
            cost_usd=amount,
            over_usd=over,
            created_at=timezone.now(),
        )


def _beyond_limit(period: BudgetPeriod, amount: Decimal) -> Decimal:
    """Return the part of an amount that a budget which refuses calls has no room for."""
    budget = period.budget
    if not (budget.is_hard and budget.is_active):
        return Decimal(0)
    room: Decimal = budget.limit_usd - period.spent_usd - period.held_usd
    return max(Decimal(0), amount - max(Decimal(0), room))


def _counts(budget: Budget, row: Adjustment) -> bool:
    """Return whether a budget counts calls such as the adjustment is about."""
    return (
        budget.organization_id == row.organization_id
        and budget.user_id in (None, row.user_id)
        and budget.api_key_id in (None, row.api_key_id)
        and budget.prompt_name in ("", row.prompt_name)
        and budget.model in ("", row.model_asked)
        and (not budget.tag or budget.tag in row.tags)
    )


def _period_of(budget: Budget, row: Adjustment) -> BudgetPeriod | None:
    """Return the period with the adjustment's day, if it is open: a later one counts it itself."""
    moment = row.at or datetime.combine(row.day, time(12), ZoneInfo(budget.time_zone))
    starts_at = period_at(moment, kind=budget.period, time_zone=budget.time_zone).starts_at
    rows = [period for period in budget.periods.all() if period.starts_at == starts_at]
    return rows[0] if rows else None
