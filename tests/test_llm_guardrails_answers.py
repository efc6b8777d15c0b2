"""Guardrails on the way back: what is told, what is broken off, and what the books say."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from accounts.models import Organization
from billing.models import Outcome
from gateway import encoding
from gateway.encoding import ChunkEncoder
from llm import guardrails, service
from llm.errors import ConnectionFailed
from llm.guardrails import Blocked
from llm.tools.calls import joined
from llm.types import Call, Delta, Event, Finished, Started
from tests.guardrails_support import aadd_rule, decided, until_it_fails
from tests.llm_support import MARKS, ask, call_by, collect, eventually, recorded, text_of
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS

MAIL = "ada@example.com"
KEY = "sk-proj-" + "a1B2" * 12


def deltas_of(events: list[Event]) -> list[Delta]:
    return [event for event in events if isinstance(event, Delta)]


def on_the_wire(events: list[Event], *, stream: bool) -> bytes:
    """Return what a program would get of it."""
    started, *_, finished = events
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    if not stream:
        return encoding.whole(started, deltas_of(events), finished)
    encoder = ChunkEncoder(started, include_usage=False)
    told = b"".join(encoder.delta(delta) for delta in deltas_of(events))
    return told + encoder.finish(finished)


async def test_without_rules_the_events_are_the_very_same(call: Call) -> None:
    async def events() -> AsyncGenerator[Event, None]:
        yield Delta("x")

    await guardrails.check_request(ask(), call)
    async with aclosing(events()) as made:
        assert guardrails.watch(made, call) is made


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_is_redacted_also_in_what_the_vendor_wrote(
    call: Call, vendor: FakeVendor, stream: bool
) -> None:
    await vendor.aserve()
    text = f"Write to {MAIL}, or use {KEY}"
    usage = {"prompt_tokens": 9, "completion_tokens": 64}
    vendor.script(Answer(text=text, reasoning=f"He is {MAIL}", usage=usage))
    await aadd_rule("pii", "redact", "out")
    await aadd_rule("secrets", "redact", "both")

    events = await collect(ask(stream=stream), call)

    assert text_of(events) == "Write to [email], or use [openai key]"
    assert isinstance(events[-1], Finished)
    wire = on_the_wire(events, stream=stream)
    assert MAIL.encode() not in wire
    assert KEY.encode() not in wire
    assert b"[openai key]" in wire
    assert b'"finish_reason":"stop"' in wire
    if stream:
        assert "".join(delta.reasoning for delta in deltas_of(events)) == "He is [email]"
    (row,) = await recorded()
    assert (row.outcome, row.output_tokens) == (Outcome.SUCCESS, 64)
    assert {(row.kind, row.direction, row.action) for row in await decided()} == {
        ("email", "out", "redact"),
        ("openai_key", "out", "redact"),
    }


@pytest.mark.parametrize("stream", [True, False])
async def test_arguments_of_tool_calls_are_redacted_and_stay_json(
    call: Call, vendor: FakeVendor, stream: bool
) -> None:
    await vendor.aserve()
    first = json.dumps({"to": f"x\n{MAIL}", "card": 4111111111111111})
    calls = [
        {"id": "1", "name": "send", "arguments": first},
        {"id": "2", "name": "read", "arguments": '{"path": "/tmp"}'},
    ]
    vendor.script(Answer(text="So:", tool_calls=calls, finish_reason="tool_calls"))
    await aadd_rule("pii", "redact", "out")

    events = await collect(ask(stream=stream), call)

    whole = joined(part for delta in deltas_of(events) for part in delta.tool_calls)
    assert [(one.id, one.function.name) for one in whole] == [("1", "send"), ("2", "read")]
    assert json.loads(whole[0].function.arguments) == {"to": "x\n[email]", "card": "[card]"}
    assert whole[1].function.arguments == '{"path": "/tmp"}'
    assert text_of(events) == "So:"


async def test_a_rule_that_only_records_lets_the_vendors_bytes_pass(
    call: Call, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=f"Write to {MAIL} now"))
    await aadd_rule("pii", "log", "out")

    events = await collect(ask(), call)

    assert text_of(events) == f"Write to {MAIL} now"
    assert all(delta.raw for delta in deltas_of(events))
    assert [(row.kind, row.action) for row in await decided()] == [("email", "log")]


async def test_a_blocked_stream_ends_after_what_was_sent_and_is_charged(
    call: Call, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    text = f"Well, the key is {KEY} and so on " * 50
    vendor.script(Answer(text=text, pause=0.01, gate=Gate(), gate_after=16))
    await aadd_rule("secrets", "block", "out")

    events, error = await until_it_fails(ask(), call)

    assert isinstance(error, Blocked)
    assert (error.code, error.http_status) == ("guardrail_blocked", 400)
    assert KEY not in error.message
    assert "Well, the key is".startswith(text_of(events).rstrip())
    assert not any(isinstance(event, Finished) for event in events)
    (row,) = await recorded()
    assert (row.state, row.outcome, row.is_estimated) == ("settled", Outcome.STOPPED, True)
    assert row.cost_usd is not None
    assert row.cost_usd > Decimal(0)
    assert row.output_tokens > 5
    await eventually(lambda: vendor.cancelled == 1)
    assert [(row.kind, row.action, row.direction) for row in await decided()] == [
        ("openai_key", "block", "out")
    ]


async def test_of_a_blocked_whole_answer_nothing_is_told_and_it_is_charged(
    call: Call, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=f"The key is {KEY}."))
    await aadd_rule("secrets", "block", "out")

    events, error = await until_it_fails(ask(stream=False), call)

    assert isinstance(error, Blocked)
    assert not any(isinstance(event, Finished) for event in events)
    assert KEY not in repr(events)
    (row,) = await recorded()
    assert row.state == "settled"
    assert row.output_tokens > 5


async def test_a_kept_answer_is_looked_through_under_the_rules_of_now(
    call: Call, vendor: FakeVendor
) -> None:
    await vendor.aserve(is_cached=True)
    vendor.script(Answer(text=f"Write to {MAIL}"))
    assert text_of(await collect(ask(), call)) == f"Write to {MAIL}"

    await aadd_rule("pii", "redact", "out")
    events = await collect(ask(), call)

    assert isinstance(events[0], Started)
    assert events[0].is_cache_hit
    assert text_of(events) == "Write to [email]"
    assert MAIL.encode() not in on_the_wire(events, stream=True)
    assert len(vendor.requests) == 1


async def test_questions_that_differ_only_in_what_is_replaced_share_an_answer(
    call: Call, vendor: FakeVendor
) -> None:
    await vendor.aserve(is_cached=True)
    await aadd_rule("pii", "redact")

    await collect(ask("I am ada@example.com"), call)
    await collect(ask("I am bob@example.com"), call)

    assert len(vendor.requests) == 1


async def test_what_was_held_back_is_told_when_the_model_fails(
    call: Call, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="one two three four", fault="close", after=2))
    await aadd_rule("pii", "redact", "out")

    events, error = await until_it_fails(ask(), call)

    assert isinstance(error, ConnectionFailed)
    assert text_of(events) == "one two"


async def test_a_caller_who_leaves_stops_the_model(call: Call, vendor: FakeVendor) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="one two three " * 100, gate=Gate(), gate_after=200))
    await aadd_rule("pii", "redact", "out")

    async with aclosing(service.stream(ask(), call)) as answer:
        async for event in answer:
            if isinstance(event, Delta):
                break

    await eventually(lambda: vendor.cancelled == 1)
    (row,) = await recorded()
    assert row.outcome == Outcome.STOPPED


async def test_answers_to_other_organizations_are_left_alone(
    call: Call, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=MAIL))
    other = await Organization.objects.acreate(name="Other", slug="other")
    await aadd_rule("pii", "redact", "out", organization=other)

    mine, theirs = await asyncio.gather(collect(ask(), call), collect(ask(), call_by(other)))

    assert (text_of(mine), text_of(theirs)) == (MAIL, "[email]")


async def test_neither_logs_nor_records_hold_what_was_found(call: Call, vendor: FakeVendor) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=f"Use {KEY} or ask {MAIL}"))
    for check in ("pii", "secrets"):
        await aadd_rule(check, "redact", "both")

    with capture_logs() as logs:
        await collect(ask(f"I am {MAIL}; my key is {KEY}"), call)
        rows = await decided()

    told = [line for line in logs if line["event"] == "llm.guardrail"]
    assert len(told) == len(rows) == 4
    assert {line["request_id"] for line in told} == {"request-1"}
    everything = repr(logs) + repr([vars(row) for row in rows])
    assert MAIL not in everything
    assert KEY not in everything
    assert KEY[:20] not in everything
