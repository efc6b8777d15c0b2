"""Thoughts that a vendor has signed: told as they came, sent back unchanged or not at all."""

from typing import Any

import pytest
from msgspec.structs import replace

from llm import thoughts, tokens
from llm.guardrails import check_request
from llm.types import Call, Delta, Event, ForAnthropic, Message, Thought
from tests.guardrails_support import aadd_rule
from tests.llm_support import MARKS, ask, collect
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

MAIL = "ada@example.com"
SIGNED = Thought("Bern is a city.", "EqQB")
FORMS = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def thoughts_of(events: list[Event]) -> tuple[Thought, ...]:
    deltas = [event for event in events if isinstance(event, Delta)]
    return thoughts.joined(piece for delta in deltas for piece in delta.thoughts)


def with_thoughts(*thought: Thought, **more: Any) -> Any:
    answer = Message("assistant", "Hi.", anthropic=ForAnthropic(thought, **more))
    return replace(ask(), messages=(*ask().messages, answer, *ask().messages))


@FORMS
async def test_thoughts_come_with_their_signatures(
    vendor: FakeVendor, call: Call, stream: bool
) -> None:
    await vendor.aserve(kind="anthropic")
    vendor.script(Answer(reasoning=SIGNED.text, hidden="c2VjcmV0"))

    events = await collect(ask(stream=stream), call)

    assert thoughts_of(events) == (Thought(hidden="c2VjcmV0"), SIGNED)
    assert "".join(event.reasoning for event in events if isinstance(event, Delta)) == SIGNED.text


@FORMS
@pytest.mark.parametrize(
    ("thought", "told"),
    [
        (SIGNED.text, SIGNED),
        (f"I ask {MAIL}", Thought("I ask [email]")),
    ],
)
async def test_a_thought_that_a_rule_changes_loses_its_signature(
    vendor: FakeVendor, call: Call, thought: str, told: Thought, stream: bool
) -> None:
    await vendor.aserve(kind="anthropic")
    await aadd_rule("pii", "redact", "out")
    vendor.script(Answer(reasoning=thought, hidden="c2VjcmV0"))

    events = await collect(ask(stream=stream), call)

    assert thoughts_of(events) == (Thought(hidden="c2VjcmV0"), told)


async def test_thoughts_are_sent_back_unchanged(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(kind="anthropic")
    unsigned = Thought("Another vendor's.")

    await collect(with_thoughts(Thought(hidden="c2VjcmV0"), SIGNED, unsigned), call)

    assert vendor.requests[0].body["messages"][1]["content"] == [
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "thinking", "thinking": SIGNED.text, "signature": "EqQB"},
        {"type": "text", "text": "Hi."},
    ]


async def test_a_thought_that_a_rule_would_change_is_left_out(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve(kind="anthropic")
    await aadd_rule("pii", "redact")

    await collect(with_thoughts(SIGNED, Thought(f"I ask {MAIL}", "EqQC")), call)

    assert vendor.requests[0].body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": SIGNED.text, "signature": "EqQB"},
        {"type": "text", "text": "Hi."},
    ]


async def test_a_request_without_thoughts_of_interest_is_the_very_same(call: Call) -> None:
    await aadd_rule("pii", "redact")
    request = with_thoughts(SIGNED)

    assert await check_request(request, call) is request


async def test_others_are_sent_nothing_of_it(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()

    await collect(with_thoughts(SIGNED, cache_control={0: {"type": "ephemeral"}}), call)

    assert vendor.requests[0].body["messages"][1] == {"role": "assistant", "content": "Hi."}


async def test_thoughts_are_counted_as_input() -> None:
    counted = tokens.count_request(with_thoughts(SIGNED), "vendor-model")

    assert counted > tokens.count_request(with_thoughts(), "vendor-model") + 3


async def test_thoughts_are_put_together_from_their_pieces() -> None:
    pieces = (Thought("a"), Thought("b"), Thought(signature="1"), Thought("c"), Thought(hidden="h"))

    assert thoughts.joined((*pieces, Thought("d"))) == (
        Thought("ab", "1"),
        Thought("c"),
        Thought(hidden="h"),
        Thought("d"),
    )
