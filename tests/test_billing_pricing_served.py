"""A call is charged by the tier and the classes that the vendor reports, whatever was asked for."""

from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from pytest_django import Settings
from structlog.testing import capture_logs

from billing import charges, prices
from billing.pricing import PriceSnapshot, Tier, TokenUsage
from llm import service
from llm.types import Call, Finished
from tests.llm_support import MARKS, ask, collect, recorded, until_said
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS

FLEX = Tier(input_usd=Decimal("0.5"), output_usd=Decimal(1), service_tier="flex")
LONG = Tier(input_usd=Decimal(2), output_usd=Decimal(3), above_tokens=1_000)
SPEECH = {
    "prompt_tokens": 100,
    "completion_tokens": 60,
    "prompt_tokens_details": {"audio_tokens": 30, "cached_tokens": 20},
    "completion_tokens_details": {"audio_tokens": 40, "reasoning_tokens": 5},
}


async def serve(vendor: FakeVendor, kind: str = "openai", **price: Any) -> None:
    await vendor.aserve(kind=kind, prices_usd=None, max_output_tokens=100)
    rates = {"input_usd": Decimal(1), "output_usd": Decimal(2), **price}
    await sync_to_async(prices.set_price)(provider=vendor.name, model="vendor-model", **rates)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("reported", "recorded_tier", "cost"),
    [
        (None, "", "0.00002"),  # ten tokens at $1, five at $2 per million
        ("default", "", "0.00002"),
        ("standard", "", "0.00002"),
        ("flex", "flex", "0.00001"),  # at half of it
    ],
)
async def test_a_call_costs_what_the_tier_costs_that_served_it(
    vendor: FakeVendor,
    call: Call,
    *,
    kind: str,
    stream: bool,
    reported: str | None,
    recorded_tier: str,
    cost: str,
) -> None:
    await serve(vendor, kind, tiers=(FLEX,))
    vendor.script(Answer(service_tier=reported))

    *_, finished = await collect(ask(stream=stream), call)

    assert isinstance(finished, Finished)
    assert finished.cost_usd == Decimal(cost)
    [row] = await recorded()
    assert (row.cost_usd, row.service_tier) == (Decimal(cost), recorded_tier)


@pytest.mark.parametrize("reported", ["scale", 7, "a-very-long-name-of-a-tier", "\x00"])
@pytest.mark.parametrize(("setting", "cost"), [("ordinary", "0.00002"), ("unpriced", None)])
async def test_a_tier_without_a_rate_is_never_passed_over(
    vendor: FakeVendor,
    call: Call,
    settings: Settings,
    *,
    monkeypatch: pytest.MonkeyPatch,
    reported: Any,
    setting: str,
    cost: str | None,
) -> None:
    settings.UNKNOWN_RATES = setting
    said: list[str] = []
    monkeypatch.setattr(charges.logger, "warning", lambda event, **more: said.append(event))
    await serve(vendor, tiers=(FLEX,))
    vendor.script(Answer(service_tier=reported))

    await collect(ask(), call)

    [row] = await recorded()
    assert row.cost_usd == (None if cost is None else Decimal(cost))
    assert row.service_tier in ("scale", "7", "a-very-long-name-of-", "unreadable")
    assert said == ["billing.unknown_tier"]


async def test_a_long_call_costs_its_tier_for_all_of_it(vendor: FakeVendor, call: Call) -> None:
    await serve(vendor, tiers=(LONG,))
    vendor.script(Answer(usage={"prompt_tokens": 1_001, "completion_tokens": 10}))

    await collect(ask(), call)

    [row] = await recorded()
    assert row.cost_usd == Decimal("0.002032")  # 1,001 tokens at $2, ten at $3 per million
    assert row.price is not None
    assert row.price["tiers"] == [{"input_usd": "2", "output_usd": "3", "above_tokens": 1000}]


@pytest.mark.parametrize("stream", [True, False])
async def test_audio_is_a_class_of_its_own(vendor: FakeVendor, call: Call, stream: bool) -> None:
    await serve(vendor, audio_input_usd=Decimal(40), audio_output_usd=Decimal(80))
    vendor.script(Answer(usage=SPEECH))

    *_, finished = await collect(ask(stream=stream), call)

    assert isinstance(finished, Finished)
    assert finished.usage == TokenUsage(
        input_tokens=50,
        cached_input_tokens=20,
        output_tokens=15,
        reasoning_tokens=5,
        audio_input_tokens=30,
        audio_output_tokens=40,
    )
    # In millionths: 50 and 20 at $1, 15 and 5 at $2, 30 at $40, 40 at $80.
    assert finished.cost_usd == Decimal("0.00451")
    [row] = await recorded()
    assert (row.audio_input_tokens, row.audio_output_tokens) == (30, 40)
    assert row.usage == finished.usage


async def test_what_is_both_cached_and_spoken_costs_as_spoken(
    vendor: FakeVendor, call: Call
) -> None:
    await serve(vendor, audio_input_usd=Decimal(40))
    details = {"audio_tokens": 90, "cached_tokens": 90}
    vendor.script(
        Answer(
            usage={
                "prompt_tokens": 100,
                "completion_tokens": 5,
                "prompt_tokens_details": details,
            }
        )
    )

    *_, finished = await collect(ask(), call)

    assert isinstance(finished, Finished)
    assert finished.usage == TokenUsage(
        cached_input_tokens=10, audio_input_tokens=90, output_tokens=5
    )


@pytest.mark.parametrize(
    ("asked", "held"),
    [
        # Nine tokens of input and a hundred of output, in millionths of a dollar.
        (None, "0.000209"),  # 9 at $1, 100 at $2
        ("auto", "0.000209"),
        ("default", "0.000209"),
        ("flex", "0.000209"),  # it may still be served in the ordinary way
        ("priority", "0.001636"),  # 9 at $4, 100 at $16
        ("scale", "0.001636"),  # nobody knows what it is
    ],
)
async def test_the_hold_covers_the_service_tiers_that_a_call_can_reach(
    vendor: FakeVendor, call: Call, asked: str | None, held: str
) -> None:
    priority = Tier(input_usd=Decimal(4), output_usd=Decimal(16), service_tier="priority")
    await serve(vendor, tiers=(FLEX, priority))

    await collect(ask(extra={"service_tier": asked} if asked else {}), call)

    [row] = await recorded()
    assert row.hold_usd == Decimal(held)


async def test_a_vendor_that_chose_a_dearer_tier_once_may_choose_it_again(
    vendor: FakeVendor, call: Call
) -> None:
    priority = Tier(input_usd=Decimal(4), output_usd=Decimal(16), service_tier="priority")
    await serve(vendor, tiers=(FLEX, priority))
    vendor.script(Answer(service_tier="priority"), Answer())

    await collect(ask(), call)
    await collect(ask(), call)
    await collect(ask(extra={"service_tier": "default"}), call)

    rows = await recorded()
    assert [row.service_tier for row in rows] == ["priority", "", ""]
    assert [str(row.hold_usd.normalize()) for row in rows] == ["0.000209", "0.001636", "0.000209"]


async def test_what_a_stopped_call_took_costs_the_tier_it_asked_for(
    vendor: FakeVendor, call: Call
) -> None:
    await serve(vendor, tiers=(FLEX,))
    vendor.script(Answer(text="one two three four", gate=Gate(), gate_after=2))

    async with aclosing(service.stream(ask(extra={"service_tier": "flex"}), call)) as events:
        await until_said(events, "one two")

    [row] = await recorded()
    assert (row.outcome, row.service_tier) == ("stopped", "flex")
    assert (row.input_tokens, row.output_tokens) == (9, 2)
    assert row.cost_usd == Decimal("0.0000065")  # nine at $0.5, two at $1 per million


@pytest.mark.parametrize("charged", [True, False])
def test_a_call_without_a_price_is_said_to_be_unpriced(charged: bool) -> None:
    price = PriceSnapshot(Decimal(1), Decimal(2)) if charged else None

    with capture_logs() as said:
        cost = charges.charge_usd(price, TokenUsage(input_tokens=1), "", provider="acme", model="m")

    assert cost == (Decimal("0.000001") if charged else None)
    assert [line["event"] for line in said] == ([] if charged else ["billing.unpriced"])
