"""A tenant with a budget, and attempts on it, for the tests of the books."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from accounts.models import Organization
from accounts.principal import Principal
from billing import ledger_writer
from billing.entries import Attempt, Entry, Settlement
from billing.models import Budget, BudgetPeriod, Outcome
from billing.pricing import PriceSnapshot, TokenUsage
from core.ids import new_id

PRICE = PriceSnapshot(input_usd=Decimal(1), output_usd=Decimal(4))


@dataclass(frozen=True, slots=True)
class Tenant:
    organization: Organization
    budget: Budget
    principal: Principal

    @property
    def period(self) -> BudgetPeriod:
        return BudgetPeriod.objects.get(budget=self.budget)


def make_tenant(limit_usd: str = "1", **budget: Any) -> Tenant:
    organization = Organization.objects.create(name="Acme", slug=f"acme-{new_id().hex[-12:]}")
    return Tenant(
        organization,
        Budget.objects.create(
            organization=organization, name="Monthly", limit_usd=Decimal(limit_usd), **budget
        ),
        Principal(organization_id=organization.pk, user_id=None),
    )


def attempt(tenant: Tenant, hold_usd: str = "0.10", **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": new_id(),
        "request_id": "request",
        "attempt": 1,
        "surface": "test",
        "principal": tenant.principal,
        "provider": "acme",
        "model_asked": "default",
        "model_served": "model-1",
        "input_tokens": 1000,
        "hold_usd": Decimal(hold_usd),
        "price": PRICE,
    }
    return Attempt(**{**values, **changes})


def settlement(of: Attempt, cost_usd: str | None = "0.03", **changes: Any) -> Settlement:
    values: dict[str, Any] = {
        "usage_id": of.id,
        "outcome": Outcome.SUCCESS,
        "usage": TokenUsage(input_tokens=1000, output_tokens=50),
        "is_estimated": False,
        "cost_usd": None if cost_usd is None else Decimal(cost_usd),
        "ttft_ms": 12,
        "duration_ms": 34,
        "model_served": of.model_served,
        "finish_reason": "stop",
    }
    return Settlement(**{**values, **changes})


def book(*entries: Entry) -> None:
    """Write the entries, of which none is refused."""
    results = ledger_writer.write(entries)
    assert not [result for result in results if isinstance(result, Exception)]
