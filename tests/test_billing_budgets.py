"""Which budgets a call counts on, whenever they were made and whoever pays."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.db import connections, transaction

from accounts import keys
from accounts.models import User
from accounts.principal import Principal
from billing import books, demo, ledger
from billing.entries import Attempt, Entry, Hold, Settle
from billing.errors import BudgetExceeded
from billing.models import Budget, BudgetPeriod, UsageRecord
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)

in_thread = sync_to_async


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("1.00")


def add_budget(tenant: Tenant, name: str, limit_usd: str = "1", **more: object) -> Budget:
    return Budget.objects.create(
        organization=tenant.organization,
        name=name,
        limit_usd=Decimal(limit_usd),
        **more,
    )


async def amounts(budget: Budget) -> tuple[Decimal, Decimal]:
    assert await in_thread(books.differences)() == []
    period = await BudgetPeriod.objects.aget(budget=budget)
    return period.spent_usd, period.held_usd


@contextmanager
def half_written(entry: Entry) -> Iterator[None]:
    """Keep another process's batch uncommitted while the block runs."""
    is_booked, may_commit = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            book(entry)
            is_booked.set()
            may_commit.wait(20)
        connections.close_all()

    other = threading.Thread(target=write)
    other.start()
    try:
        assert is_booked.wait(10)
        yield
    finally:
        may_commit.set()
        other.join()


async def test_a_budget_of_a_person_and_of_a_key_limit_only_theirs(tenant: Tenant) -> None:
    ann = await User.objects.acreate(username="ann")
    bob = await User.objects.acreate(username="bob")
    key, _ = await in_thread(keys.create)(organization=tenant.organization, name="job")
    anns = await in_thread(add_budget)(tenant, "Ann's", "0.05", user=ann)
    await in_thread(add_budget)(tenant, "Job's", "0.02", api_key=key)

    def by(**caller: int) -> Attempt:
        principal = Principal(organization_id=tenant.organization.pk, **caller)  # type: ignore[arg-type]
        return attempt(tenant, "0.04", principal=principal)

    await ledger.hold(by(user_id=bob.pk))
    await ledger.hold(by(user_id=ann.pk))
    with pytest.raises(BudgetExceeded, match="Ann's"):
        await ledger.hold(by(user_id=ann.pk))
    with pytest.raises(BudgetExceeded, match="Job's"):
        await ledger.hold(by(user_id=bob.pk, api_key_id=key.pk))

    assert await amounts(anns) == (Decimal(0), Decimal("0.04"))
    assert await amounts(tenant.budget) == (Decimal(0), Decimal("0.08"))


async def test_what_others_may_spend_is_not_touched(tenant: Tenant) -> None:
    """A thousand people's budgets must not be locked for the call of one."""
    bob = await User.objects.acreate(username="bob")
    bobs = await in_thread(add_budget)(tenant, "Bob's", user=bob)

    await ledger.hold(attempt(tenant))

    assert not await bobs.periods.aexists()


async def test_another_organization_is_not_touched(tenant: Tenant) -> None:
    other = await in_thread(make_tenant)("0")

    await ledger.hold(attempt(tenant))

    assert not await other.budget.periods.aexists()


async def test_a_budget_that_cannot_be_read_fails_only_its_own_calls(tenant: Tenant) -> None:
    broken = await in_thread(make_tenant)("1", time_zone="Moon/Tycho")

    results = await asyncio.gather(
        *(ledger.hold(attempt(one)) for one in (tenant, broken, tenant)), return_exceptions=True
    )

    assert [isinstance(result, Exception) for result in results] == [False, True, False]


def test_a_time_zone_has_to_exist(tenant: Tenant) -> None:
    budget = Budget(organization=tenant.organization, name="B", limit_usd=1, time_zone="Moon/Tycho")

    with pytest.raises(ValidationError, match="time_zone"):
        budget.full_clean()


async def test_a_total_does_not_reset_and_says_so(tenant: Tenant) -> None:
    await in_thread(add_budget)(tenant, "Ever", "0.10", period="total")
    await ledger.hold(attempt(tenant, "0.01"))

    with pytest.raises(BudgetExceeded, match="It does not reset") as caught:
        await ledger.hold(attempt(tenant))

    assert caught.value.retry_after is None
    assert caught.value.details["resets_at"] == ""


async def test_an_inactive_budget_refuses_nothing_and_goes_on_counting(tenant: Tenant) -> None:
    made = attempt(tenant)
    await ledger.hold(made)
    await Budget.objects.aupdate(is_active=False, limit_usd=0)

    await ledger.hold(attempt(tenant, "0.70"))
    await ledger.settle(settlement(made))
    assert await amounts(tenant.budget) == (Decimal("0.03"), Decimal("0.70"))
    await Budget.objects.aupdate(is_active=True, limit_usd=Decimal("0.80"))

    with pytest.raises(BudgetExceeded, match=r"\$0.07 left"):
        await ledger.hold(attempt(tenant, "0.08"))


async def test_settling_in_the_next_period_books_on_the_one_that_held(tenant: Tenant) -> None:
    made = attempt(tenant)
    await ledger.hold(made)
    period = await BudgetPeriod.objects.aget()
    await UsageRecord.objects.aupdate(started_at=period.starts_at.replace(year=2020))
    period.starts_at = period.starts_at.replace(year=2020)  # the month has passed
    period.ends_at = period.starts_at + timedelta(days=32)
    await period.asave()
    await ledger.hold(attempt(tenant, "0.20"))

    await ledger.settle(settlement(made))

    old, new = [period async for period in BudgetPeriod.objects.order_by("starts_at")]
    assert (old.spent_usd, old.held_usd) == (Decimal("0.03"), Decimal(0))
    assert new.held_usd == Decimal("0.20")


async def test_a_new_budget_counts_a_call_that_is_being_written(tenant: Tenant) -> None:
    await Budget.objects.all().adelete()

    with half_written(Hold(attempt(tenant, "0.10"))):
        later = await in_thread(add_budget)(tenant, "Later")
        holding = asyncio.create_task(ledger.hold(attempt(tenant, "0.20")))
        await asyncio.sleep(0.2)
        assert not holding.done()
    await holding

    assert await amounts(later) == (Decimal(0), Decimal("0.30"))


async def test_a_new_budget_counts_a_call_that_is_being_settled(tenant: Tenant) -> None:
    made = attempt(tenant, "0.10")
    await ledger.hold(made)
    await Budget.objects.all().adelete()  # or the new call would wait for its period

    with half_written(Settle(settlement(made, "0.07"))):
        later = await in_thread(add_budget)(tenant, "Later")
        holding = asyncio.create_task(ledger.hold(attempt(tenant, "0.20")))
        await asyncio.sleep(0.2)
        assert not holding.done()
    await holding

    assert await amounts(later) == (Decimal("0.07"), Decimal("0.20"))


async def test_a_hold_waits_for_one_of_another_process_and_counts_it(tenant: Tenant) -> None:
    await ledger.hold(attempt(tenant, "0.01"))  # opens the period

    with half_written(Hold(attempt(tenant, "0.80"))):
        holding = asyncio.create_task(ledger.hold(attempt(tenant, "0.50")))
        await asyncio.sleep(0.2)
        assert not holding.done()

    with pytest.raises(BudgetExceeded, match=r"\$0.19 left"):
        await holding
    assert await amounts(tenant.budget) == (Decimal(0), Decimal("0.81"))


async def test_a_hold_waits_for_what_another_process_settles(tenant: Tenant) -> None:
    made = attempt(tenant, "1.00")
    await ledger.hold(made)

    with half_written(Settle(settlement(made, "0.40"))):
        holding = asyncio.create_task(ledger.hold(attempt(tenant, "0.60")))
        await asyncio.sleep(0.2)
        assert not holding.done()
    await holding

    assert await amounts(tenant.budget) == (Decimal("0.40"), Decimal("0.60"))


async def test_settlements_go_on_while_a_new_budget_is_opened(tenant: Tenant) -> None:
    running = [attempt(tenant, "0.01") for _ in range(40)]
    await asyncio.gather(*map(ledger.hold, running))
    budgets = [await in_thread(add_budget)(tenant, f"Later {n}", "100") for n in range(5)]

    await asyncio.gather(
        *(ledger.settle(settlement(made, "0.02")) for made in running),
        *(ledger.hold(attempt(tenant, "0.001")) for _ in range(20)),
    )

    for budget in [tenant.budget, *budgets]:
        assert await amounts(budget) == (Decimal("0.80"), Decimal("0.020"))


def test_the_demo_budget_is_made_once(tenant: Tenant) -> None:
    demo.seed(tenant.organization)
    demo.seed(tenant.organization)

    budget = Budget.objects.get(name="Demo monthly")
    assert (budget.limit_usd, budget.period, budget.is_hard) == (Decimal(5), "month", True)
