"""When PostgreSQL goes away, or a caller does: nothing is lost, and nothing is booked twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from billing import books, ledger
from billing.models import BudgetPeriod, Outcome, UsageRecord, UsageState
from core.errors import DependencyDown
from tests.billing_support import Tenant, attempt, make_tenant, settlement
from tests.billing_wire import Wire, writers_wire

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("1.00")


@pytest.fixture
async def wire(tenant: Tenant) -> AsyncIterator[Wire]:
    async with writers_wire() as wire:
        yield wire


async def amounts() -> tuple[Decimal, Decimal]:
    """Return what was spent and what is held, after a look whether the books balance."""
    assert await sync_to_async(books.differences)() == []
    period = await BudgetPeriod.objects.aget()
    return period.spent_usd, period.held_usd


async def test_a_connection_that_was_cut_is_not_noticed(tenant: Tenant, wire: Wire) -> None:
    made = attempt(tenant)
    await ledger.hold(made)
    await wire.disconnect()
    await wire.connect()

    await ledger.settle(settlement(made))
    await wire.disconnect()
    await wire.connect()
    await ledger.hold(attempt(tenant, "0.50"))

    assert await amounts() == (Decimal("0.03"), Decimal("0.50"))


async def test_the_event_loop_books_again_by_itself_after_an_outage(
    tenant: Tenant, wire: Wire
) -> None:
    await ledger.hold(attempt(tenant, "0.01"))
    line = ledger._lines.get()
    assert line.is_open
    await wire.disconnect()
    with pytest.raises(DependencyDown):
        await ledger.hold(attempt(tenant, "0.01"))
    assert not line.is_open  # nobody waits for it while PostgreSQL is away

    await wire.connect()
    await ledger.hold(attempt(tenant, "0.01"))

    assert line.is_open
    await ledger.drain()
    assert await amounts() == (Decimal(0), Decimal("0.02"))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_commit_whose_answer_is_lost_books_once(
    tenant: Tenant, wire: Wire, when: str
) -> None:
    await ledger.hold(attempt(tenant, "0.01"))  # opens the period
    made = attempt(tenant, "0.40")

    wire.cut_at_commit = when  # type: ignore[assignment]
    await ledger.hold(made)
    assert wire.cut_at_commit is None
    assert await amounts() == (Decimal(0), Decimal("0.41"))

    wire.cut_at_commit = when  # type: ignore[assignment]
    await ledger.settle(settlement(made))
    assert wire.cut_at_commit is None
    assert await amounts() == (Decimal("0.03"), Decimal("0.01"))
    assert await UsageRecord.objects.acount() == 2


async def test_an_answer_from_the_cache_is_recorded_once_when_its_commit_is_unknown(
    tenant: Tenant, wire: Wire
) -> None:
    made = attempt(tenant)

    wire.cut_at_commit = "after"
    await ledger.record_hit(made, settlement(made, "0"))

    assert (await UsageRecord.objects.aget()).state == UsageState.SETTLED


async def test_an_outage_refuses_at_once_and_settles_when_it_is_over(
    tenant: Tenant, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PATIENCE", 0.3)
    running = [attempt(tenant, "0.10") for _ in range(5)]
    for made in running:
        await ledger.hold(made)
    await wire.disconnect()
    began_at = time.monotonic()

    with pytest.raises(DependencyDown):
        await ledger.hold(attempt(tenant))
    assert time.monotonic() - began_at < 0.3
    late = await asyncio.gather(
        *(ledger.settle(settlement(made)) for made in running), return_exceptions=True
    )
    assert [type(error) for error in late] == [DependencyDown] * 5
    await wire.connect()
    monkeypatch.undo()
    await ledger.drain()

    assert await amounts() == (Decimal("0.15"), Decimal(0))
    assert await UsageRecord.objects.filter(outcome=Outcome.SUCCESS).acount() == 5


async def test_a_short_outage_only_delays_the_end_of_an_answer(tenant: Tenant, wire: Wire) -> None:
    made = attempt(tenant)
    await ledger.hold(made)
    await wire.disconnect()

    settling = asyncio.create_task(ledger.settle(settlement(made)))
    await asyncio.sleep(0.2)
    assert not settling.done()
    await wire.connect()
    await settling

    assert await amounts() == (Decimal("0.03"), Decimal(0))


async def test_a_hold_whose_commit_stays_unknown_is_released(tenant: Tenant, wire: Wire) -> None:
    await ledger.hold(attempt(tenant, "0.01"))
    wire.cut_at_commit = "after"
    holding = asyncio.create_task(ledger.hold(attempt(tenant, "0.50")))
    await wire.was_cut.wait()
    await asyncio.sleep(0.02)
    await wire.disconnect()  # committed, and then PostgreSQL is gone

    with pytest.raises(DependencyDown):
        await holding
    await wire.connect()
    await ledger.drain()

    assert await amounts() == (Decimal(0), Decimal("0.01"))
    failed = await UsageRecord.objects.aget(outcome=Outcome.FAILED)
    assert failed.cost_usd == 0


@pytest.mark.parametrize("delay", [0, 0.0002, 0.001, 0.003])
async def test_a_caller_who_leaves_while_it_is_held_leaves_no_hold(
    tenant: Tenant, delay: float
) -> None:
    await ledger.hold(attempt(tenant, "0.01"))
    leaving = [asyncio.create_task(ledger.hold(attempt(tenant, "0.02"))) for _ in range(20)]
    await asyncio.sleep(delay)
    for task in leaving:
        task.cancel()
    results = await asyncio.gather(*leaving, return_exceptions=True)
    await ledger.drain()

    held = sum(isinstance(result, Decimal) for result in results)  # those that were faster
    assert await amounts() == (Decimal(0), Decimal("0.01") + held * Decimal("0.02"))
    stopped = UsageRecord.objects.filter(outcome=Outcome.STOPPED, cost_usd=0)
    assert await stopped.acount() == await UsageRecord.objects.acount() - 1 - held


async def test_a_caller_who_leaves_in_an_outage_is_settled_all_the_same(
    tenant: Tenant, wire: Wire
) -> None:
    made = attempt(tenant)
    await ledger.hold(made)
    await wire.disconnect()
    leaving = asyncio.create_task(ledger.settle(settlement(made)))
    await asyncio.sleep(0)

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await asyncio.sleep(0.05)  # the batch has failed, and nobody waits for it any more
    await wire.connect()
    await ledger.drain()

    assert await amounts() == (Decimal("0.03"), Decimal(0))


async def test_memory_for_an_outage_is_bounded(
    tenant: Tenant, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_UNSETTLED", 1)
    running = [attempt(tenant, "0.10") for _ in range(2)]
    for made in running:
        await ledger.hold(made)
    await wire.disconnect()

    first = asyncio.create_task(ledger.settle(settlement(running[0])))
    await asyncio.sleep(0.05)
    with pytest.raises(DependencyDown):  # at once: the sweeper will do it
        await asyncio.wait_for(ledger.settle(settlement(running[1])), 1)
    await wire.connect()
    await first

    assert await amounts() == (Decimal("0.03"), Decimal("0.10"))
