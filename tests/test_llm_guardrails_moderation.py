"""Moderation by a model: what is asked of it, what waits for it, what happens without it."""

import asyncio

import pytest
from msgspec.structs import replace

from accounts.principal import Principal
from llm.guardrails import Blocked, Unavailable, check_request, moderation
from llm.types import Call, ChatRequest, Delta, Message
from tests.guardrails_support import aadd_rule, decided, until_it_fails
from tests.llm_support import MARKS, ask, collect, eventually, recorded, text_of
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS


@pytest.fixture
async def judge(spare: FakeVendor, tidy_loop: None) -> FakeVendor:
    """A vendor that moderates under the name `judge`: it flags what has `harm` in it."""
    await spare.aserve("judge", model="moderator")
    return spare


def asked_of(judge: FakeVendor) -> list[str]:
    return [request.body["input"] for request in judge.requests]


async def test_a_flagged_request_is_refused(call: Call, judge: FakeVendor) -> None:
    await aadd_rule("moderation", "block", model="judge")
    said = (
        Message("system", "Do no harm."),
        Message("user", "Hello"),
        Message("assistant", "harm"),
        Message("tool", "a result", tool_call_id="1"),
    )
    fine = ChatRequest(model="m", messages=said)

    assert await check_request(fine, call) is fine
    with pytest.raises(Blocked, match="moderation"):
        await check_request(ask("I want to harm you"), call)

    assert asked_of(judge) == ["Hello\n\na result", "I want to harm you"]
    assert [(row.check_name, row.kind, row.action) for row in await decided()] == [
        ("moderation", "hate", "block"),
        ("moderation", "violence", "block"),
    ]
    assert [row.model_asked for row in await recorded()] == ["judge", "judge"]


async def test_the_judge_does_not_see_what_is_redacted(call: Call, judge: FakeVendor) -> None:
    await aadd_rule("moderation", "block", model="judge")
    await aadd_rule("pii", "redact")

    await check_request(ask("I am ada@example.com"), call)

    assert asked_of(judge) == ["I am [email]"]


async def test_a_rule_that_records_does_not_keep_the_call_waiting(
    call: Call, judge: FakeVendor
) -> None:
    await aadd_rule("moderation", "log", model="judge")
    request = ask("harm")

    assert await check_request(request, call) is request
    assert not judge.requests

    await moderation.close()
    assert [row.action for row in await decided()] == ["log", "log"]


async def test_without_a_verdict_a_refusing_rule_refuses_and_a_recording_one_does_not(
    call: Call, judge: FakeVendor
) -> None:
    judge.script(Answer(status=400))
    rule = await aadd_rule("moderation", "log", model="judge")
    request = ask("Hello")
    assert await check_request(request, call) is request

    rule.action = "block"
    await rule.asave()
    await aadd_rule("pii", "log")

    with pytest.raises(Unavailable):
        await check_request(request, call)


async def test_a_key_for_few_models_is_moderated_all_the_same(
    call: Call, judge: FakeVendor
) -> None:
    await aadd_rule("moderation", "block", model="judge")
    principal = call.principal
    limited = Principal(principal.organization_id, allowed_models=("gpt-*",))

    await check_request(ask("Hello"), replace(call, principal=limited))

    assert asked_of(judge) == ["Hello"]


async def test_an_answer_is_held_back_until_it_is_judged(
    call: Call, vendor: FakeVendor, judge: FakeVendor
) -> None:
    await vendor.aserve()
    fine = "All is well here. " * 60
    gate = Gate()
    text = f"{fine}Now harm comes. {fine * 100}"
    vendor.script(Answer(text=text, pause=0.001, gate=gate, gate_after=200))
    await aadd_rule("moderation", "block", "out", model="judge")

    asking = asyncio.create_task(until_it_fails(ask(), call))
    await eventually(lambda: len(judge.requests) == 1)  # the first words are on their way
    gate.open()
    events, error = await asking

    assert isinstance(error, Blocked)
    told = text_of(events)
    assert fine.startswith(told.rstrip())
    assert len(told) >= moderation.SEGMENT
    assert "harm" not in told
    await eventually(lambda: vendor.cancelled == 1)


async def test_a_harmless_answer_comes_whole(
    call: Call, vendor: FakeVendor, judge: FakeVendor
) -> None:
    await vendor.aserve()
    text = "All is well. " * 100
    vendor.script(Answer(text=text))
    await aadd_rule("moderation", "block", "out", model="judge")
    await aadd_rule("moderation", "log", "out", model="judge")

    events = await collect(ask(), call)
    await moderation.close()

    assert text_of(events) == text.rstrip()
    assert text.rstrip() in asked_of(judge)


async def test_a_recorded_answer_comes_as_the_vendor_wrote_it(
    call: Call, vendor: FakeVendor, judge: FakeVendor
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="This does harm."))
    await aadd_rule("moderation", "log", "out", model="judge")

    events = await collect(ask(), call)

    assert text_of(events) == "This does harm."
    assert all(event.raw for event in events if isinstance(event, Delta))
    await moderation.close()
    assert {row.kind for row in await decided()} == {"hate", "violence"}
