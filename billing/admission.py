"""Who may spend: the budgets of one ledger transaction, locked, and the rules of holding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog
from django.db.models import Q

from accounts.principal import Principal
from billing import ledger_sql, opening
from billing.entries import Attempt
from billing.errors import BudgetExceeded
from billing.ledger_sql import SettledRow
from billing.models import Budget, BudgetPeriod
from billing.money import as_text
from billing.periods import Period, period_at

logger = structlog.get_logger(__name__)

Start = tuple[int, datetime]  # a budget and when its period begins


@dataclass(slots=True)
class Admission:
    """The periods that a batch touches; limits are read in its transaction, never remembered."""

    budgets: Sequence[Budget]
    current: dict[int, Period]  # by budget
    periods: dict[int, BudgetPeriod]  # by id, locked
    by_start: dict[Start, BudgetPeriod]
    now: datetime

    @classmethod
    def begin(
        cls, attempts: Iterable[Attempt], settled: Sequence[SettledRow], now: datetime
    ) -> "Admission":
        """Lock the periods that are held on or settled, in the order of their ids."""
        budgets = _budgets({attempt.principal.organization_id for attempt in attempts})
        current = {
            budget.pk: period_at(now, kind=budget.period, time_zone=budget.time_zone)
            for budget in budgets
        }
        settled_ids = {period_id for row in settled for period_id in row.budget_period_ids}
        periods = _lock(settled_ids, current)
        known = {(period.budget_id, period.starts_at) for period in periods}
        missing = [b for b in budgets if (b.pk, current[b.pk].starts_at) not in known]
        if missing:
            for budget in missing:
                opening.open_period(budget, current[budget.pk], now)
            periods = _lock(settled_ids, current)
        return cls(
            budgets=budgets,
            current=current,
            periods={period.pk: period for period in periods},
            by_start={(period.budget_id, period.starts_at): period for period in periods},
            now=now,
        )

    def settle(self, row: SettledRow) -> None:
        """Release a hold and book the cost, on the periods that the hold was taken on."""
        cost = row.cost_usd or Decimal(0)
        for period_id in row.budget_period_ids:
            period = self.periods.get(period_id)
            if period is not None:  # else its budget was deleted meanwhile
                period.held_usd -= row.hold_usd
                period.spent_usd += cost
        if cost > row.hold_usd and row.budget_period_ids:
            logger.warning("billing.overrun", usage_id=str(row.id), cost_usd=str(cost))

    def admit(self, attempt: Attempt) -> list[int]:
        """Hold on every budget that applies and return their periods, or raise `BudgetExceeded`."""
        budgets = [budget for budget in self.budgets if applies(budget, attempt.principal)]
        held = [self.by_start[budget.pk, self.current[budget.pk].starts_at] for budget in budgets]
        for budget, period in zip(budgets, held, strict=True):
            room = budget.limit_usd - period.spent_usd - period.held_usd
            # Nothing costs nothing; all else needs room, also where the price is unknown.
            if budget.is_hard and attempt.hold_usd > max(room, Decimal(0)):
                raise self._refusal(budget, period, room, attempt.hold_usd)
        for period in held:
            period.held_usd += attempt.hold_usd
        return [period.pk for period in held]

    def save(self) -> None:
        """Write what has changed."""
        ledger_sql.save(list(self.periods.values()))

    def _refusal(
        self, budget: Budget, period: BudgetPeriod, room: Decimal, hold: Decimal
    ) -> BudgetExceeded:
        room = max(room, Decimal(0))
        until = "It does not reset."
        retry_after = None
        if period.ends_at is not None:
            until = f"It resets on {period.ends_at:%-d %B %Y at %H:%M} UTC."
            retry_after = (period.ends_at - self.now).total_seconds()
        return BudgetExceeded(
            f"The budget “{budget.name}” has {as_text(room)} left of {as_text(budget.limit_usd)}; "
            f"this call may cost up to {as_text(hold)}. {until}",
            retry_after=retry_after,
            details={
                "budget": budget.name,
                "room_usd": f"{room.normalize():f}",
                "resets_at": period.ends_at.isoformat() if period.ends_at else "",
            },
        )


def applies(budget: Budget, principal: Principal) -> bool:
    """Return whether the caller's spending counts on the budget."""
    return (
        budget.organization_id == principal.organization_id
        and budget.user_id in (None, principal.user_id)
        and budget.api_key_id in (None, principal.api_key_id)
    )


def _budgets(organization_ids: set[int]) -> Sequence[Budget]:
    if not organization_ids:
        return []
    return list(
        Budget.objects.filter(organization_id__in=organization_ids, is_active=True).order_by("pk")
    )


def _lock(settled_ids: set[int], current: dict[int, Period]) -> list[BudgetPeriod]:
    if not (settled_ids or current):
        return []
    starts = {period.starts_at for period in current.values()}
    wanted = Q(pk__in=settled_ids) | Q(budget_id__in=list(current), starts_at__in=starts)
    return list(BudgetPeriod.objects.select_for_update().filter(wanted).order_by("pk"))
