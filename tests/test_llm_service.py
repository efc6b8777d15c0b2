"""The only door to a model: what the caller sees, which rows are recorded, what is billed."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from decimal import Decimal

import pytest
from msgspec.structs import replace
from pytest_django import Settings

from billing.errors import BudgetExceeded
from billing.models import Budget, UsageRecord
from billing.pricing import TokenUsage
from core.errors import InvalidRequest
from llm import service
from llm.errors import ContextTooLong, ModelNotFound, ModelUnpriced
from llm.models import Route
from llm.types import Call, Delta, Finished, Started
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

REPORTED = TokenUsage(input_tokens=10, output_tokens=5)
COST = Decimal("0.00002")  # ten tokens at $1, five at $2 per million


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["openai", "azure", "anthropic"])
async def test_bills_what_the_vendor_reports(
    vendor: FakeVendor, call: Call, kind: str, stream: bool
) -> None:
    await vendor.aserve(kind=kind)

    started, *_, finished = events = await collect(ask(stream=stream), call)

    assert isinstance(started, Started)
    assert text_of(events) == "Hello from the vendor, friend."
    assert isinstance(finished, Finished)
    assert (finished.usage, finished.cost_usd) == (REPORTED, COST)
    [row] = await recorded()
    assert (row.state, row.outcome, row.cost_usd) == ("settled", "success", COST)
    assert (row.id, row.provider) == (started.usage_id, "vendor")
    assert (row.model_asked, row.model_served) == ("test-model", "vendor-model-1")
    assert row.ttft_ms is not None
    assert not row.is_estimated


async def test_relays_the_bytes_of_openais_wire(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()

    events = await collect(ask(), call)

    raw = b"".join(event.raw or b"" for event in events if isinstance(event, Delta))
    assert raw.startswith(b'data: {"id": "chatcmpl-1"')
    assert raw.count(b"data: ") == 7  # the role, five words, the finish reason
    assert b"usage" not in raw
    assert b"[DONE]" not in raw


async def test_a_hold_covers_the_worst_case(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(max_output_tokens=1000)

    await collect(ask("Hello?", max_tokens=500), call)

    [row] = await recorded()
    assert row.hold_usd == Decimal("0.001009")  # 9 tokens at $1 and 500 at $2 per million
    assert vendor.requests[0].body["max_tokens"] == 500


async def test_the_books_are_closed_before_the_end_is_told(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()

    async with aclosing(service.stream(ask(), call)) as events:
        async for event in events:
            if isinstance(event, Finished) or (isinstance(event, Delta) and not event.text):
                [row] = await recorded()
                assert row.state == "settled"


async def test_estimates_where_the_vendor_reports_nothing(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="one two three", usage=None))

    *_, finished = await collect(ask(), call)

    assert isinstance(finished, Finished)
    assert finished.is_estimated
    assert finished.usage == TokenUsage(input_tokens=9, output_tokens=3)


async def test_a_model_without_a_price_is_unpriced_not_free(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(model="unpriced-model", prices_usd=None)

    *_, finished = await collect(ask(), call)

    assert isinstance(finished, Finished)
    assert finished.cost_usd is None
    [row] = await recorded()
    assert row.cost_usd is None


async def test_a_model_without_a_price_is_refused_where_the_settings_say_so(
    vendor: FakeVendor, call: Call, settings: Settings
) -> None:
    settings.UNPRICED_MODELS = "refuse"
    await vendor.aserve(model="unpriced-model", prices_usd=None)

    with pytest.raises(ModelUnpriced):
        await collect(ask(), call)

    assert vendor.requests == []


async def test_a_stopped_stream_ends_the_vendors_work_and_is_charged(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="one two three four five six", gate=Gate(), gate_after=2))

    async with aclosing(service.stream(ask(), call)) as events:
        await until_said(events, "one two")

    [row] = await recorded()
    assert (row.state, row.outcome) == ("settled", "stopped")
    assert row.is_estimated
    assert (row.input_tokens, row.output_tokens) == (9, 2)
    assert row.cost_usd == Decimal("0.000013")
    await eventually(lambda: vendor.cancelled == 1)


async def test_a_stop_before_the_first_token_is_charged_for_the_question(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(fault="stall"))
    asking = asyncio.create_task(collect(ask(), call))
    await eventually(lambda: len(vendor.requests) == 1)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    [row] = await recorded()
    assert (row.state, row.outcome, row.output_tokens) == ("settled", "stopped", 0)
    assert row.cost_usd == Decimal("0.000009")
    await eventually(lambda: vendor.cancelled == 1)


async def test_a_second_cancel_does_not_leave_a_hold_open(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(fault="stall"))
    asking = asyncio.create_task(collect(ask(), call))
    await eventually(lambda: len(vendor.requests) == 1)

    asking.cancel()
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await service.close()

    [row] = await recorded()
    assert (row.state, row.outcome) == ("settled", "stopped")


async def test_a_cancel_at_any_moment_leaves_no_row_open(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(pause=0.002))

    for step in range(30):
        asking = asyncio.create_task(collect(ask(), call))
        await asyncio.sleep(step * 0.001)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await service.close()

    assert {row.state for row in await recorded()} == {"settled"}


async def test_a_long_call_renews_its_lease_and_tells_what_it_has_produced(
    vendor: FakeVendor, call: Call, settings: Settings
) -> None:
    settings.LEASE_SECONDS = 0.6
    await vendor.aserve()
    vendor.script(Answer(text="one two three", fault="stall", after=3))

    async with aclosing(service.stream(ask(), call)) as events:
        await until_said(events, "one two three")
        told = await once(lambda row: row.output_tokens == 3)
        await once(lambda row: row.lease_expires_at > told.lease_expires_at)

    [row] = await recorded()
    assert (row.outcome, row.output_tokens) == ("stopped", 3)


async def once(condition: Callable[[UsageRecord], bool]) -> UsageRecord:
    """Return the one row as soon as it fits."""
    async with asyncio.timeout(PATIENCE):
        while not condition((await recorded())[0]):  # noqa: ASYNC110 - a thread writes it
            await asyncio.sleep(0.02)
    return (await recorded())[0]


async def test_a_budget_without_room_refuses_before_the_vendor_is_asked(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve(max_output_tokens=1000)
    await Budget.objects.acreate(
        organization_id=call.principal.organization_id, name="Small", limit_usd="0.002"
    )

    with pytest.raises(BudgetExceeded, match="Small"):
        await collect(ask(), call)
    await collect(ask(max_tokens=10), call)

    assert len(vendor.requests) == 1
    assert [row.outcome for row in await recorded()] == ["success"]


async def test_an_unknown_model_is_named(call: Call) -> None:
    with pytest.raises(ModelNotFound, match="no-such-model"):
        await collect(ask(model="no-such-model"), call)

    assert await recorded() == []


async def test_a_deployment_answers_to_its_full_name(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(model="org/model-7b")

    await collect(ask(model="vendor/org/model-7b"), call)

    assert vendor.requests[0].body["model"] == "org/model-7b"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": ()}, "messages"),
        ({"max_tokens": 5000}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra": {"n": 2}}, "n"),
    ],
)
async def test_refuses_what_cannot_be_asked(
    vendor: FakeVendor, call: Call, change: dict[str, object], param: str
) -> None:
    await vendor.aserve(max_output_tokens=1000)

    with pytest.raises(InvalidRequest) as refused:
        await collect(replace(ask(), **change), call)

    assert refused.value.param == param
    assert vendor.requests == []
    assert await recorded() == []


async def test_refuses_more_than_the_context_before_the_call(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve(context_tokens=100, max_output_tokens=50)

    with pytest.raises(ContextTooLong, match="100 tokens of context"):
        await collect(ask("word " * 200), call)

    assert vendor.requests == []


async def test_asks_for_no_more_output_than_the_context_has_room_for(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve(context_tokens=100, max_output_tokens=95)

    await collect(ask(), call)

    assert vendor.requests[0].body["max_tokens"] == 91


async def test_passes_over_a_deployment_with_too_small_a_window(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve(context_tokens=100, max_output_tokens=50)
    await spare.aserve(context_tokens=100_000)

    started, *_ = await collect(ask("word " * 200), call)

    assert isinstance(started, Started)
    assert started.provider == "spare"
    assert vendor.requests == []


async def test_a_route_edited_by_staff_is_in_force_within_a_second(
    vendor: FakeVendor, call: Call, a_second_later: Callable[[], None]
) -> None:
    await vendor.aserve()
    await collect(ask(), call)

    await Route.objects.filter(alias="test-model").aupdate(is_active=False)
    a_second_later()

    with pytest.raises(ModelNotFound):
        await collect(ask(), call)


async def test_offers_every_name_with_its_first_provider(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve("zebra")
    await vendor.aserve("ant", model="other")

    offers = await service.models(call.principal)

    assert [(offer.id, offer.provider) for offer in offers] == [
        ("ant", "vendor"),
        ("zebra", "vendor"),
    ]
