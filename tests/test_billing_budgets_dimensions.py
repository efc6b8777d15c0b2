"""Budgets for prompts, models and tags: which calls they count, and from when on."""

from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError

from accounts.models import User
from accounts.principal import Principal
from billing import books, ledger
from billing.errors import BudgetExceeded
from billing.models import Budget, BudgetPeriod
from tests.billing_support import Tenant, attempt, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)

in_thread = sync_to_async

# What a call has, what a budget names, and calls that it does not count.
DIMENSIONS: list[tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]] = [
    (
        {"prompt_name": "summary"},
        {"prompt_name": "summary", "prompt_version": 3},
        [{}, {"prompt_name": "Summary"}, {"prompt_name": "summary-2"}],
    ),
    (
        {"model": "fast"},
        {"model_asked": "fast"},
        [{"model_asked": "faster"}, {"model_asked": "slow", "model_served": "fast"}],
    ),
    (
        {"tag": "team:a"},
        {"tags": ("nightly", "team:a")},
        [{}, {"tags": ("team:ab", "team")}],
    ),
    (
        {"model": "fast", "tag": "team:a", "prompt_name": 'say "hi" \\ {now}'},
        {"model_asked": "fast", "tags": ("team:a",), "prompt_name": 'say "hi" \\ {now}'},
        [
            {"model_asked": "fast", "tags": ("team:a",)},
            {"model_asked": "fast", "prompt_name": 'say "hi" \\ {now}'},
            {"tags": ("team:a",), "prompt_name": 'say "hi" \\ {now}'},
        ],
    ),
]


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("1.00")


def add_budget(tenant: Tenant, limit_usd: str, **more: Any) -> Budget:
    return Budget.objects.create(
        organization=tenant.organization, name="Part", limit_usd=Decimal(limit_usd), **more
    )


async def amounts(budget: Budget) -> tuple[Decimal, Decimal]:
    assert await in_thread(books.differences)() == []
    period = await BudgetPeriod.objects.aget(budget=budget)
    return period.spent_usd, period.held_usd


@pytest.mark.parametrize(("names", "counted", "others"), DIMENSIONS)
async def test_a_budget_counts_and_refuses_what_it_names_and_nothing_else(
    tenant: Tenant, names: dict[str, Any], counted: dict[str, Any], others: list[dict[str, Any]]
) -> None:
    part = await in_thread(add_budget)(tenant, "0.15", **names)

    for other in others:
        await ledger.hold(attempt(tenant, "0.10", **other))
    assert not await part.periods.aexists()
    await ledger.hold(attempt(tenant, "0.10", **counted))
    with pytest.raises(BudgetExceeded, match="Part"):
        await ledger.hold(attempt(tenant, "0.10", **counted))

    assert await amounts(part) == (Decimal(0), Decimal("0.10"))
    held = Decimal("0.10") * (1 + len(others))
    assert await amounts(tenant.budget) == (Decimal(0), held)


@pytest.mark.parametrize(("names", "counted", "others"), DIMENSIONS)
async def test_a_budget_added_in_the_midst_counts_what_was_spent_and_what_is_running(
    tenant: Tenant, names: dict[str, Any], counted: dict[str, Any], others: list[dict[str, Any]]
) -> None:
    done, running = attempt(tenant, **counted), attempt(tenant, "0.20", **counted)
    for made in (done, running, *(attempt(tenant, **other) for other in others)):
        await ledger.hold(made)
    await ledger.settle(settlement(done, "0.04"))
    part = await in_thread(add_budget)(tenant, "0.24", **names)

    with pytest.raises(BudgetExceeded, match=r"\$0.00 left"):
        await ledger.hold(attempt(tenant, "0.01", **counted))
    assert await amounts(part) == (Decimal("0.04"), Decimal("0.20"))
    await ledger.settle(settlement(running, "0.05", model_served="another name"))

    assert await amounts(part) == (Decimal("0.09"), Decimal(0))


async def test_a_person_and_a_tag_must_both_match(tenant: Tenant) -> None:
    ann = await User.objects.acreate(username="ann")
    part = await in_thread(add_budget)(tenant, "0.10", user=ann, tag="nightly")
    anns = Principal(organization_id=tenant.organization.pk, user_id=ann.pk)

    await ledger.hold(attempt(tenant, "0.20", tags=("nightly",)))
    await ledger.hold(attempt(tenant, "0.20", principal=anns))
    await ledger.hold(attempt(tenant, "0.10", principal=anns, tags=("nightly",)))

    assert await amounts(part) == (Decimal(0), Decimal("0.10"))


async def test_a_soft_budget_counts_beyond_its_limit_and_a_hard_one_then_refuses(
    tenant: Tenant,
) -> None:
    soft = await in_thread(add_budget)(tenant, "0.10", is_hard=False, tag="nightly")

    await ledger.hold(attempt(tenant, "0.30", tags=("nightly",)))
    assert await amounts(soft) == (Decimal(0), Decimal("0.30"))
    await Budget.objects.filter(pk=soft.pk).aupdate(is_hard=True)

    with pytest.raises(BudgetExceeded, match="Part"):
        await ledger.hold(attempt(tenant, "0.01", tags=("nightly",)))


async def test_calls_go_on_over_a_limit_that_was_lowered_and_raised(tenant: Tenant) -> None:
    made = attempt(tenant, "0.80")
    await ledger.hold(made)
    await Budget.objects.aupdate(limit_usd=Decimal("0.50"))
    await ledger.hold(attempt(tenant, "0"))
    assert await amounts(tenant.budget) == (Decimal(0), Decimal("0.80"))
    await Budget.objects.aupdate(limit_usd=Decimal(2))

    await ledger.hold(attempt(tenant, "1.20"))
    await ledger.settle(settlement(made, "0.80"))

    assert await amounts(tenant.budget) == (Decimal("0.80"), Decimal("1.20"))


@pytest.mark.parametrize("tag", ["two words", "ü", "x" * 51, "a,b"])
def test_a_tag_that_no_call_can_carry_is_refused(tenant: Tenant, tag: str) -> None:
    budget = Budget(organization=tenant.organization, name="B", limit_usd=1, tag=tag)

    with pytest.raises(ValidationError, match="tag"):
        budget.full_clean()
