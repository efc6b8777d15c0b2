"""The ledger: never overspent, never booked twice, nothing lost."""

import asyncio
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.db import IntegrityError
from django.test import override_settings

from accounts.models import User
from accounts.principal import Principal
from billing import books, ledger, ledger_writer, sweeper
from billing.entries import Hit, Hold
from billing.errors import BudgetExceeded
from billing.models import Budget, Outcome, UsageRecord, UsageState
from billing.models.usage import COUNTS
from billing.pricing import PriceSnapshot, Tier, TokenUsage
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)

in_thread = sync_to_async


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("1.00")


async def amounts(tenant: Tenant) -> tuple[Decimal, Decimal]:
    """Return what was spent and what is held, after a look whether the books balance."""
    assert await in_thread(books.differences)() == []
    period = await in_thread(lambda: tenant.period)()
    return period.spent_usd, period.held_usd


async def test_a_hold_is_released_and_the_true_cost_booked(tenant: Tenant) -> None:
    made = attempt(tenant, "0.40")

    await ledger.hold(made)
    assert await amounts(tenant) == (Decimal(0), Decimal("0.40"))
    await ledger.settle(settlement(made, "0.123456789012"))

    assert await amounts(tenant) == (Decimal("0.123456789012"), Decimal(0))
    record = await UsageRecord.objects.aget()
    assert record.state == UsageState.SETTLED
    assert record.outcome == Outcome.SUCCESS
    assert record.cost_usd == Decimal("0.123456789012")
    assert record.price == {"input_usd": "1", "output_usd": "4"}


async def test_concurrent_holds_never_overspend(tenant: Tenant) -> None:
    results = await asyncio.gather(
        *(ledger.hold(attempt(tenant, "0.03")) for _ in range(300)), return_exceptions=True
    )

    refused = [result for result in results if isinstance(result, Exception)]
    assert len(results) - len(refused) == 33  # 33 x 0.03 fit into 1.00
    assert all(isinstance(result, BudgetExceeded) for result in refused)
    assert await amounts(tenant) == (Decimal(0), Decimal("0.99"))
    assert await UsageRecord.objects.acount() == 33  # a refused call leaves no attempt


async def test_a_lowered_limit_refuses_the_very_next_call(tenant: Tenant) -> None:
    await ledger.hold(attempt(tenant, "0.01"))
    await Budget.objects.aupdate(limit_usd=Decimal("0.005"))

    with pytest.raises(BudgetExceeded):
        await ledger.hold(attempt(tenant, "0.001"))


async def test_settling_twice_books_once(tenant: Tenant) -> None:
    made = attempt(tenant)
    await ledger.hold(made)

    await asyncio.gather(*(ledger.settle(settlement(made)) for _ in range(20)))
    await ledger.settle(settlement(made, "0.09"))

    assert await amounts(tenant) == (Decimal("0.03"), Decimal(0))


async def test_every_budget_that_applies_must_have_room(tenant: Tenant) -> None:
    await Budget.objects.acreate(
        organization=tenant.organization, name="Daily", limit_usd=Decimal("0.05"), period="day"
    )

    with pytest.raises(BudgetExceeded, match="Daily"):
        await ledger.hold(attempt(tenant, "0.06"))

    assert await amounts(tenant) == (Decimal(0), Decimal(0))


async def test_what_one_budget_refuses_takes_nothing_from_the_others(tenant: Tenant) -> None:
    ann = await User.objects.acreate(username="ann")
    await Budget.objects.acreate(
        organization=tenant.organization, user=ann, name="Ann's", limit_usd=Decimal("0.05")
    )
    anns = Principal(organization_id=tenant.organization.pk, user_id=ann.pk)

    results = await asyncio.gather(
        ledger.hold(attempt(tenant, "0.30", principal=anns)),
        ledger.hold(attempt(tenant, "1.00")),
        return_exceptions=True,
    )

    assert isinstance(results[0], BudgetExceeded)
    assert results[0].details["budget"] == "Ann's"
    assert results[1] == 0  # nothing is left
    assert await amounts(tenant) == (Decimal(0), Decimal("1.00"))


async def test_what_is_settled_makes_room_for_a_hold_of_the_same_batch(tenant: Tenant) -> None:
    made = attempt(tenant, "1.00")
    await ledger.hold(made)

    await asyncio.gather(
        ledger.hold(attempt(tenant, "0.97")), ledger.settle(settlement(made, "0.03"))
    )

    assert await amounts(tenant) == (Decimal("0.03"), Decimal("0.97"))


@pytest.mark.parametrize("limit_usd", ["1.00", None])
async def test_what_is_written_again_is_booked_once(limit_usd: str | None) -> None:
    tenant = await in_thread(make_tenant)(limit_usd or "0")
    if limit_usd is None:
        await Budget.objects.all().adelete()
    made = attempt(tenant, "0.40")
    hit = Hit(answered := attempt(tenant, "0"), settlement(answered, "0"))

    for _ in range(2):
        await in_thread(book)(Hold(made), hit)

    assert await UsageRecord.objects.acount() == 2
    assert await in_thread(books.differences)() == []
    if limit_usd is not None:
        assert await amounts(tenant) == (Decimal(0), Decimal("0.40"))


async def test_a_soft_budget_counts_and_does_not_refuse(tenant: Tenant) -> None:
    await Budget.objects.aupdate(is_hard=False)
    made = attempt(tenant, "7")

    await ledger.hold(made)
    await ledger.settle(settlement(made, "6.5"))

    assert await amounts(tenant) == (Decimal("6.5"), Decimal(0))


async def test_a_cost_above_the_hold_is_booked_in_full(tenant: Tenant) -> None:
    made = attempt(tenant, "0.10")
    await ledger.hold(made)

    await ledger.settle(settlement(made, "0.25"))

    assert await amounts(tenant) == (Decimal("0.25"), Decimal(0))


async def test_an_unpriced_call_is_recorded_with_no_cost_and_not_with_zero(tenant: Tenant) -> None:
    made = attempt(tenant, "0", price=None)
    await ledger.hold(made)

    await ledger.settle(settlement(made, None))

    record = await UsageRecord.objects.aget()
    assert record.cost_usd is None
    assert record.price is None
    assert await amounts(tenant) == (Decimal(0), Decimal(0))


async def test_a_hit_is_one_settled_record_that_costs_nothing(tenant: Tenant) -> None:
    made = attempt(tenant, "0", is_cache_hit=True)

    await ledger.record_hit(made, settlement(made, "0"))

    record = await UsageRecord.objects.aget()
    assert record.is_cache_hit
    assert record.state == UsageState.SETTLED
    assert record.cost_usd == 0
    assert record.output_tokens == 50


async def test_a_budget_added_later_counts_what_was_spent_and_is_held(tenant: Tenant) -> None:
    spent, running = attempt(tenant, "0.10"), attempt(tenant, "0.20")
    await ledger.hold(spent)
    await ledger.settle(settlement(spent, "0.07"))
    await ledger.hold(running)
    later = await Budget.objects.acreate(
        organization=tenant.organization, name="Later", limit_usd=Decimal(1), period="month"
    )

    await ledger.hold(attempt(tenant, "0.01"))
    period = await later.periods.aget()
    assert (period.spent_usd, period.held_usd) == (Decimal("0.07"), Decimal("0.21"))
    await ledger.settle(settlement(running, "0.15"))

    period = await later.periods.aget()
    assert (period.spent_usd, period.held_usd) == (Decimal("0.22"), Decimal("0.01"))
    assert await in_thread(books.differences)() == []


async def test_a_deleted_budget_does_not_keep_a_call_from_settling(tenant: Tenant) -> None:
    made = attempt(tenant)
    await ledger.hold(made)
    await Budget.objects.all().adelete()

    await ledger.settle(settlement(made))

    assert (await UsageRecord.objects.aget()).state == UsageState.SETTLED


async def test_a_value_the_database_refuses_fails_alone(tenant: Tenant) -> None:
    bad = attempt(tenant, request_id="x" * 500)
    good = [attempt(tenant, "0.01") for _ in range(5)]

    results = await asyncio.gather(
        *(ledger.hold(one) for one in [*good[:2], bad, *good[2:]]), return_exceptions=True
    )

    is_held = [isinstance(result, Decimal) for result in results]
    assert is_held == [True, True, False, True, True, True]
    assert await amounts(tenant) == (Decimal(0), Decimal("0.05"))


async def test_of_a_batch_that_is_repeated_in_part_the_rest_is_booked(tenant: Tenant) -> None:
    known, new = attempt(tenant, "0.40"), attempt(tenant, "0.50")
    too_much = attempt(tenant, "0.20")
    write = in_thread(ledger_writer.write)
    assert await write([Hold(known)]) == [Decimal("0.60")]

    batch = [Hold(new), Hold(known), Hold(too_much)]
    repeated = await write(batch, may_be_written=True)

    assert repeated[:2] == [Decimal("0.10"), None]  # of what is known nothing is said
    assert isinstance(repeated[2], BudgetExceeded)
    assert await write([Hold(known)], may_be_written=True) == [None]
    assert await amounts(tenant) == (Decimal(0), Decimal("0.90"))


@override_settings(LEASE_SECONDS=0.05)
async def test_a_call_whose_process_died_is_settled_for_what_is_known(tenant: Tenant) -> None:
    made = attempt(tenant, "0.40", input_tokens=1_000)
    await ledger.hold(made)
    await ledger.renew(made.id, 250)
    await asyncio.sleep(0.1)

    assert await in_thread(sweeper.sweep)() == 1

    record = await UsageRecord.objects.aget()
    assert record.outcome == Outcome.INTERRUPTED
    assert record.is_estimated
    assert record.cost_usd == Decimal("0.002")  # 1,000 x 1 + 250 x 4 millionths
    assert await amounts(tenant) == (Decimal("0.002"), Decimal(0))
    assert await in_thread(sweeper.sweep)() == 0


@override_settings(LEASE_SECONDS=0.05)
async def test_a_swept_call_costs_the_service_tier_that_it_asked_for(tenant: Tenant) -> None:
    flex = Tier(input_usd=Decimal(1), output_usd=Decimal(2), service_tier="flex")
    price = PriceSnapshot(input_usd=Decimal(2), output_usd=Decimal(4), tiers=(flex,))
    made = attempt(tenant, price=price, input_tokens=1_000, service_tier="flex")
    await ledger.hold(made)
    await asyncio.sleep(0.1)

    assert await in_thread(sweeper.sweep)() == 1

    row = await UsageRecord.objects.aget()
    assert (row.service_tier, row.cost_usd) == ("flex", Decimal("0.001"))


async def test_a_call_that_is_alive_is_not_swept(tenant: Tenant) -> None:
    await ledger.hold(attempt(tenant))

    assert await in_thread(sweeper.sweep)() == 0


async def test_a_sweep_that_comes_too_late_changes_nothing(tenant: Tenant) -> None:
    made = attempt(tenant)
    await ledger.hold(made)

    late = settlement(made, "0.09", usage=TokenUsage(), is_swept=True)
    await ledger.settle(late)  # its lease was renewed between the look and the stroke

    assert (await UsageRecord.objects.aget()).state == UsageState.STARTED


@pytest.mark.parametrize("name", [*COUNTS, "hold_usd", "cost_usd"])
async def test_nothing_in_a_record_is_negative(tenant: Tenant, name: str) -> None:
    made = attempt(tenant)
    await ledger.hold(made)
    await ledger.settle(settlement(made))

    with pytest.raises(IntegrityError, match="usage_not_negative"):
        await UsageRecord.objects.aupdate(**{name: -1})
