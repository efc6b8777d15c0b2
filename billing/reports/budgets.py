"""Budgets as reports show them: what is spent, the room, where it is going, when it resets."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts.principal import Principal
from billing.alerts.forecast import forecast_usd
from billing.models import Budget, BudgetPeriod
from billing.periods import period_at


@dataclass(frozen=True, slots=True)
class Standing:
    """A budget in the period of now."""

    budget: Budget
    spent_usd: Decimal
    held_usd: Decimal
    forecast_usd: Decimal | None  # None: too early to say, or it never ends
    resets_at: datetime | None

    @property
    def room_usd(self) -> Decimal:
        left: Decimal = self.budget.limit_usd - self.spent_usd - self.held_usd
        return max(Decimal(0), left)

    @property
    def used(self) -> float:
        """The part of the limit that is spent or held, at most 1."""
        taken = self.spent_usd + self.held_usd
        if not self.budget.limit_usd:
            return 1.0
        return float(min(Decimal(1), taken / self.budget.limit_usd))

    @property
    def whose(self) -> str:
        """Return in words what counts on it."""
        budget = self.budget
        parts: dict[str, object] = {
            "": budget.user,
            "key ": budget.api_key,
            "prompt ": budget.prompt_name,
            "model ": budget.model,
            "tag ": budget.tag,
        }
        named = [f"{what}{one}" for what, one in parts.items() if one]
        return ", ".join(named) or f"all of {budget.organization}"

    @property
    def is_over(self) -> bool:
        """Whether nothing is left, or will be left if it goes on so."""
        return self.room_usd == 0 or (
            self.forecast_usd is not None and self.forecast_usd > self.budget.limit_usd
        )


def of_organization(organization_id: int | None) -> QuerySet[Budget]:
    """Return the active budgets of an organization, or of all."""
    budgets = Budget.objects.filter(is_active=True)
    if organization_id is not None:
        budgets = budgets.filter(organization=organization_id)
    return budgets.select_related("organization", "user", "api_key")


def of_person(principal: Principal) -> QuerySet[Budget]:
    """Return the active budgets that calls of a person, or of a key of theirs, may count on."""
    return of_organization(principal.organization_id) & Budget.objects.visible_to(principal)


def standings(budgets: Iterable[Budget]) -> list[Standing]:
    """Return where budgets stand now, the fullest first."""
    found = list(budgets)
    rows = BudgetPeriod.objects.current().filter(budget__in=found)
    current = {row.budget_id: row for row in rows}
    result = [_standing(budget, current.get(budget.pk)) for budget in found]
    return sorted(result, key=lambda one: (-one.used, one.budget.name))


def standing_of(budget: Budget) -> Standing:
    """Return where one budget stands now; `current_periods` are used where they were fetched."""
    known: Any = getattr(budget, "current_periods", None)
    rows = BudgetPeriod.objects.current().filter(budget=budget) if known is None else known
    return _standing(budget, next(iter(rows), None))


def _standing(budget: Budget, row: BudgetPeriod | None) -> Standing:
    now = timezone.now()
    period = period_at(now, kind=budget.period, time_zone=budget.time_zone)
    spent = row.spent_usd if row else Decimal(0)
    return Standing(
        budget=budget,
        spent_usd=spent,
        held_usd=row.held_usd if row else Decimal(0),
        forecast_usd=forecast_usd(
            spent, starts_at=period.starts_at, ends_at=period.ends_at, now=now
        ),
        resets_at=period.ends_at,
    )
