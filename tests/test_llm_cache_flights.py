"""Calls that are the same at the same time: made once, whoever leaves or fails."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from msgspec.structs import replace

from accounts.models import Organization
from billing.models import Budget
from core.errors import AppError
from llm import service
from llm.errors import ServerError
from llm.types import Call, Started
from tests.flights_support import QUESTION, TEXT, are_waiting, held, is_shared
from tests.llm_support import MARKS, call_by, collect, eventually, recorded, text_of
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS


@pytest.mark.parametrize("stream", [True, False])
async def test_the_same_calls_at_the_same_time_are_made_once(
    vendor: FakeVendor, call: Call, stream: bool
) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(held(gate))
    question = replace(QUESTION, stream=stream)

    asking = [asyncio.create_task(collect(question, call)) for _ in range(5)]
    await are_waiting(5)
    gate.open()
    answers = await asyncio.gather(*asking)

    assert len(vendor.requests) == 1
    assert {text_of(answer) for answer in answers} == {TEXT}
    assert [is_shared(answer) for answer in answers].count(False) == 1
    rows = await recorded()
    assert sorted(row.is_cache_hit for row in rows) == [False, True, True, True, True]
    assert sum(row.cost_usd > 0 for row in rows if row.cost_usd is not None) == 1
    assert {(row.outcome, row.output_tokens) for row in rows} == {("success", 5)}


async def test_other_calls_are_made_each(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    other = call_by(await Organization.objects.acreate(name="Other", slug="other"))
    calls = [
        collect(QUESTION, call),
        collect(QUESTION, other),
        collect(replace(QUESTION, seed=1), call),
        collect(replace(QUESTION, temperature=0.7), call),
        collect(replace(QUESTION, temperature=0.7), call),
    ]

    await asyncio.gather(*calls)

    assert len(vendor.requests) == 5


async def test_who_comes_later_sees_the_beginning_at_once(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(held(Gate(), after=4))
    async with aclosing(service.stream(QUESTION, call)) as first:
        seen = ""
        while not seen.endswith("four"):
            seen += text_of([await anext(first)])

        async with aclosing(service.stream(QUESTION, call)) as second:
            started, delta = await anext(second), await anext(second)

    assert isinstance(started, Started)
    assert started.is_shared
    assert text_of([delta]) == "one two three four"
    assert len(vendor.requests) == 1


async def test_the_payer_may_leave_and_the_call_goes_on_for_the_others(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(held(gate))
    async with aclosing(service.stream(QUESTION, call)) as first:
        await anext(first)
        others = [asyncio.create_task(collect(QUESTION, call)) for _ in range(2)]
        await are_waiting(3)
    gate.open()

    assert [text_of(await other) for other in others] == [TEXT] * 2
    assert len(vendor.requests) == 1
    assert vendor.cancelled == 0
    rows = await recorded()
    assert [(row.outcome, row.cost_usd != 0) for row in rows if not row.is_cache_hit] == [
        ("success", True)
    ]


async def test_a_call_that_nobody_waits_for_any_more_is_stopped_and_settled(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(held(gate))
    async with aclosing(service.stream(QUESTION, call)) as first:
        await anext(first)
        async with aclosing(service.stream(QUESTION, call)) as second:
            await anext(second)
            await anext(second)

    await eventually(lambda: vendor.cancelled == 1)
    rows = await recorded()
    assert sorted((row.outcome, row.is_cache_hit, row.state) for row in rows) == [
        ("stopped", False, "settled"),
        ("stopped", True, "settled"),
    ]
    gate.open()
    assert text_of(await collect(QUESTION, call)) == TEXT  # nothing stands in its way


@pytest.mark.usefixtures("no_retries")
async def test_when_a_call_fails_early_one_of_the_others_makes_it(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(Answer(status=500, gate=gate), Answer(text=TEXT))

    asking = [asyncio.create_task(collect(QUESTION, call)) for _ in range(4)]
    await are_waiting(4)
    gate.open()
    results = await asyncio.gather(*asking, return_exceptions=True)

    assert len(vendor.requests) == 2
    answered = [result for result in results if not isinstance(result, BaseException)]
    assert [text_of(answer) for answer in answered] == [TEXT] * 3
    assert [is_shared(answer) for answer in answered].count(False) == 1
    assert [type(result) for result in results if isinstance(result, BaseException)] == [
        ServerError
    ]


async def test_a_budget_refuses_its_own_caller_only(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(max_output_tokens=1000)
    organization_id = call.principal.organization_id
    poor = replace(call, principal=await _member(organization_id, "poor"))
    await Budget.objects.acreate(
        organization_id=organization_id,
        user_id=poor.principal.user_id,
        name="None left",
        limit_usd="0",
    )

    refused = asyncio.create_task(collect(QUESTION, poor))
    await are_waiting(1)  # so it is the payer
    results = await asyncio.gather(refused, collect(QUESTION, call), return_exceptions=True)

    assert isinstance(results[0], AppError)
    assert results[0].code == "budget_exceeded"
    assert not isinstance(results[1], BaseException)
    assert text_of(results[1]) == Answer().text


async def _member(organization_id: int, name: str) -> Any:
    from accounts.models import Membership, User
    from accounts.principal import Principal

    user = await User.objects.acreate(username=name)
    await Membership.objects.acreate(user=user, organization_id=organization_id)
    return Principal(organization_id=organization_id, user_id=user.pk, user_name=name)
