"""Who may spend: the budgets of one ledger transaction, locked, and the rules of holding."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_UP, Decimal

import structlog

from accounts.principal import Principal
from billing import ledger_sql
from billing.entries import Attempt
from billing.errors import BudgetExceeded
from billing.ledger_sql import BudgetRow, PeriodRow, SettledRow
from billing.money import as_text
from billing.opening import PeriodsMissing
from billing.periods import Period, period_at

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Admission:
    """The periods that a batch touches; limits are read in its transaction, never remembered."""

    budgets: Sequence[BudgetRow]
    periods: dict[int, PeriodRow]  # all that are locked, by id
    current: dict[int, PeriodRow]  # those of now, by budget
    now: datetime
    changed: dict[int, PeriodRow] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, attempts: Iterable[Attempt], settled: Sequence[SettledRow], now: datetime
    ) -> "Admission":
        """Lock the periods that are held on or settled, or raise `PeriodsMissing`."""
        budgets = ledger_sql.budgets({attempt.principal for attempt in attempts})
        calendar = {
            budget.id: period_at(now, kind=budget.period, time_zone=budget.time_zone)
            for budget in budgets
        }
        settled_ids = {period_id for row in settled for period_id in row.budget_period_ids}
        periods = _lock(settled_ids, calendar)
        current = _current(periods, calendar)
        if len(current) < len(calendar):
            missing = calendar.keys() - current.keys()
            raise PeriodsMissing({budget_id: calendar[budget_id] for budget_id in missing})
        return cls(budgets, {period.id: period for period in periods}, current, now)

    def settle(self, row: SettledRow) -> None:
        """Release a hold and book the cost, on the periods that the hold was taken on."""
        cost = row.cost_usd or Decimal(0)
        for period_id in row.budget_period_ids:
            period = self.periods.get(period_id)
            if period is not None:  # else its budget was deleted meanwhile
                period.held_usd -= row.hold_usd
                period.spent_usd += cost
                self.changed[period_id] = period
        if cost > row.hold_usd and row.budget_period_ids:
            logger.warning("billing.overrun", usage_id=str(row.id), cost_usd=str(cost))

    def admit(self, attempt: Attempt) -> list[int]:
        """Hold on every budget that applies and return their periods, or raise `BudgetExceeded`."""
        budgets = [budget for budget in self.budgets if _applies(budget, attempt.principal)]
        held = [self.current[budget.id] for budget in budgets]
        for budget, period in zip(budgets, held, strict=True):
            room = budget.limit_usd - period.spent_usd - period.held_usd
            # What holds nothing (a model without a price) has room also where a limit was lowered.
            if budget.is_hard and attempt.hold_usd > max(room, Decimal(0)):
                raise self._refusal(budget, period, room, attempt.hold_usd)
        for period in held:
            period.held_usd += attempt.hold_usd
            self.changed[period.id] = period
        return [period.id for period in held]

    def save(self) -> None:
        """Write what has changed."""
        ledger_sql.save(list(self.changed.values()))

    def _refusal(
        self, budget: BudgetRow, period: PeriodRow, room: Decimal, hold: Decimal
    ) -> BudgetExceeded:
        room = max(room, Decimal(0))
        until = "It does not reset."
        retry_after = None
        if period.ends_at is not None:
            until = f"It resets on {period.ends_at:%-d %B %Y at %H:%M} UTC."
            retry_after = (period.ends_at - self.now).total_seconds()
        left, needed = as_text(room, ROUND_DOWN), as_text(hold, ROUND_UP)
        return BudgetExceeded(
            f"The budget “{budget.name}” has {left} left of {as_text(budget.limit_usd)}; "
            f"this call may cost up to {needed}. {until}",
            retry_after=retry_after,
            details={
                "budget": budget.name,
                "room_usd": f"{room.normalize():f}",
                "resets_at": period.ends_at.isoformat() if period.ends_at else "",
            },
        )


def _applies(budget: BudgetRow, principal: Principal) -> bool:
    """Return whether the caller's spending counts on the budget."""
    return (
        budget.organization_id == principal.organization_id
        and budget.user_id in (None, principal.user_id)
        and budget.api_key_id in (None, principal.api_key_id)
    )


def _lock(settled_ids: set[int], calendar: dict[int, Period]) -> list[PeriodRow]:
    starts = {period.starts_at for period in calendar.values()}
    return ledger_sql.lock_periods(settled_ids, list(calendar), starts)


def _current(periods: Sequence[PeriodRow], calendar: dict[int, Period]) -> dict[int, PeriodRow]:
    return {
        period.budget_id: period
        for period in periods
        if period.budget_id in calendar and calendar[period.budget_id].starts_at == period.starts_at
    }
