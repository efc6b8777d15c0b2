"""A second deployment beside a slow one: who answers, what both cost, and when there is none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from asgiref.sync import sync_to_async
from structlog.testing import capture_logs
from structlog.typing import EventDict

from billing import books
from billing.errors import BudgetExceeded
from billing.models import Budget, UsageRecord
from llm import errors, health, retry_budget, service
from llm.health.monitor import ENOUGH
from llm.models import Deployment, Route
from llm.routing import routes
from llm.types import Call, ChatRequest, Started
from tests.llm_support import (
    MARKS,
    PATIENCE,
    ask,
    collect,
    eventually,
    recorded,
    text_of,
    until_said,
)
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS

USUAL_MS = 50
SLOW = Answer(text="slow and late", gate=Gate())  # it never speaks


async def be_known(
    deployment: Deployment, *, is_streamed: bool, calls: int = 25, milliseconds: int = USUAL_MS
) -> None:
    """Let the deployment have spoken after so many milliseconds in its last calls."""
    for _ in range(calls):
        entry = await health.enter(deployment.pk, is_streamed=is_streamed)
        assert isinstance(entry, health.Ticket)
        entry.spoke(milliseconds)
        entry.ended(None)
    while calls >= ENOUGH and not health.usual_wait(  # noqa: ASYNC110 - it is read from Redis
        deployment.pk, is_streamed=is_streamed
    ):
        await asyncio.sleep(0.05)


@pytest.fixture
async def budget(call: Call) -> AsyncIterator[Budget]:
    """A large budget; at the end of the test, its books balance."""
    made = await Budget.objects.acreate(
        organization_id=call.principal.organization_id, name="Large", limit_usd="100"
    )
    yield made
    await service.close()
    assert await sync_to_async(books.differences)() == []


@pytest.fixture
async def hedged(budget: Budget, vendor: FakeVendor, spare: FakeVendor) -> Deployment:
    """A hedged route over a vendor and a spare one; the vendor's deployment."""
    first = await vendor.aserve()
    await spare.aserve()
    await Route.objects.aupdate(is_hedged=True)
    routes.forget()
    return first


async def providers_and_outcomes() -> list[tuple[str, str]]:
    return sorted([(row.provider, row.outcome) for row in await recorded()])


async def has_ended(provider: str) -> None:
    """Wait until an attempt of the provider is in the books."""
    ended = UsageRecord.objects.filter(provider=provider, state="settled")
    async with asyncio.timeout(PATIENCE):
        while not await ended.aexists():  # noqa: ASYNC110 - a thread writes it
            await asyncio.sleep(0.01)


async def answer_without_a_hedge(vendor: FakeVendor, request: ChatRequest, call: Call) -> EventDict:
    """Have the vendor answer once a second deployment was left out, and return what was logged."""
    gate = Gate()
    vendor.script(Answer(text="late", gate=gate))

    def skipped() -> list[EventDict]:
        return [entry for entry in logs if entry["event"] == "llm.hedge_skipped"]

    with capture_logs() as logs:
        asking = asyncio.create_task(collect(request, call))
        await eventually(lambda: bool(skipped()))
        gate.open()
        assert text_of(await asking) == "late"
    [entry] = skipped()
    return entry


@pytest.mark.parametrize("stream", [True, False])
async def test_whoever_speaks_first_answers_and_the_other_is_stopped(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call, stream: bool
) -> None:
    await be_known(hedged, is_streamed=stream)
    vendor.script(SLOW if stream else Answer(fault="stall"))

    with capture_logs() as logs:
        events = await collect(ask(stream=stream), call)

    started = events[0]
    assert isinstance(started, Started)
    assert started.provider == "spare"
    assert text_of(events) == Answer().text
    await eventually(lambda: vendor.cancelled == 1)
    await service.close()
    assert await providers_and_outcomes() == [("spare", "success"), ("vendor", "stopped")]
    loser = next(row for row in await recorded() if row.provider == "vendor")
    assert (loser.state, loser.is_estimated, loser.output_tokens) == ("settled", True, 0)
    assert loser.cost_usd
    [hedge] = [entry for entry in logs if entry["event"] == "llm.hedge"]
    assert (hedge["from"], hedge["to"]) == ("vendor/vendor-model", "spare/vendor-model")
    [complete] = [entry for entry in logs if entry["event"] == "llm.complete"]
    assert (complete["outcome"], complete["attempts"]) == ("success", 2)


async def test_the_first_may_still_win(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True)
    gate = Gate()
    vendor.script(Answer(text="first", gate=gate))
    spare.script(SLOW)

    asking = asyncio.create_task(collect(ask(), call))
    await eventually(lambda: len(spare.requests) == 1)
    gate.open()

    assert text_of(await asking) == "first"
    assert len(spare.requests) == 1
    await service.close()
    assert await providers_and_outcomes() == [("spare", "stopped"), ("vendor", "success")]


async def test_who_is_as_fast_as_usual_is_asked_alone(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True, milliseconds=60_000)

    await asyncio.gather(*(collect(ask(), call) for _ in range(3)))

    assert spare.requests == []


async def test_who_is_hardly_known_is_asked_alone(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True, calls=10)
    vendor.script(Answer(text="late", pause=0.3))

    assert text_of(await collect(ask(), call)) == "late"

    assert spare.requests == []


async def test_when_the_second_fails_the_first_goes_on(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True)
    gate = Gate()
    vendor.script(Answer(text="late", gate=gate))
    spare.script(Answer(status=500))

    asking = asyncio.create_task(collect(ask(), call))
    await eventually(lambda: len(spare.requests) == 1)
    await has_ended("spare")
    gate.open()

    assert text_of(await asking) == "late"

    assert await providers_and_outcomes() == [("spare", "failed"), ("vendor", "success")]


async def test_when_the_first_fails_the_second_goes_on(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True)
    first, second = Gate(), Gate()
    vendor.script(Answer(fault="close", after=0, gate=first))
    spare.script(Answer(text="second", gate=second))

    asking = asyncio.create_task(collect(ask(), call))
    await eventually(lambda: len(spare.requests) == 1)
    first.open()
    await has_ended("vendor")
    second.open()

    assert text_of(await asking) == "second"

    assert await providers_and_outcomes() == [("spare", "success"), ("vendor", "failed")]


async def test_when_both_fail_the_loop_goes_on(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True)
    gate = Gate()
    vendor.script(Answer(fault="close", after=0, gate=gate), Answer(text="again"))
    spare.script(Answer(status=404))

    asking = asyncio.create_task(collect(ask(), call))
    await has_ended("spare")
    gate.open()

    assert text_of(await asking) == "again"

    assert await providers_and_outcomes() == [
        ("spare", "failed"),
        ("vendor", "failed"),
        ("vendor", "success"),
    ]


async def test_a_hedge_comes_out_of_the_retry_budget(
    hedged: Deployment,
    vendor: FakeVendor,
    spare: FakeVendor,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await be_known(hedged, is_streamed=True)
    monkeypatch.setattr(retry_budget, "FLOOR", 0)

    await answer_without_a_hedge(vendor, ask(), call)

    assert spare.requests == []


async def test_a_hedge_that_does_not_fit_the_budget_is_left_out(
    hedged: Deployment, budget: Budget, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True)
    await Budget.objects.aupdate(limit_usd="0.00003")  # one worst case is 0.000029

    skipped = await answer_without_a_hedge(vendor, ask(max_tokens=10), call)

    assert spare.requests == []
    assert skipped["error"] == BudgetExceeded.__name__


async def test_who_has_a_cooldown_is_not_asked_beside(
    hedged: Deployment,
    vendor: FakeVendor,
    spare: FakeVendor,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llm.health.breaker.FIRST_COOLDOWN", 100.0)
    await be_known(hedged, is_streamed=True)
    cooling = await Deployment.objects.aget(provider__name="spare")
    for _ in range(5):
        entry = await health.enter(cooling.pk, is_streamed=True)
        assert isinstance(entry, health.Ticket)
        entry.ended(errors.ServerError("It failed."))
    vendor.script(Answer(text="late", pause=0.3))

    assert text_of(await collect(ask(), call)) == "late"

    assert spare.requests == []


async def test_a_stop_stops_both(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True)
    vendor.script(Answer(fault="stall"))
    spare.script(Answer(fault="stall"))
    asking = asyncio.create_task(collect(ask(), call))
    await eventually(lambda: len(spare.requests) == 1)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert await providers_and_outcomes() == [("spare", "stopped"), ("vendor", "stopped")]
    assert {row.state for row in await recorded()} == {"settled"}
    await eventually(lambda: (vendor.cancelled, spare.cancelled) == (1, 1))


async def test_a_cancel_at_any_moment_leaves_no_row_open(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True)
    vendor.script(Answer(pause=0.06))
    spare.script(Answer(pause=0.002))

    for step in range(25):
        asking = asyncio.create_task(collect(ask(), call))
        await asyncio.sleep(0.03 + step * 0.002)
        asking.cancel()
        asyncio.get_running_loop().call_soon(asking.cancel)
        await asyncio.gather(asking, return_exceptions=True)
    await service.close()

    assert {row.state for row in await recorded()} == {"settled"}


async def test_a_stopped_answer_of_the_winner_is_charged(
    hedged: Deployment, vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await be_known(hedged, is_streamed=True)
    vendor.script(Answer(fault="stall"))
    spare.script(Answer(text="one two three four", gate=Gate(), gate_after=2))

    async with aclosing(service.stream(ask(), call)) as events:
        await until_said(events, "one two")
    await service.close()

    rows = {row.provider: row for row in await recorded()}
    assert (rows["spare"].outcome, rows["spare"].output_tokens) == ("stopped", 2)
    assert (rows["vendor"].outcome, rows["vendor"].output_tokens) == ("stopped", 0)
