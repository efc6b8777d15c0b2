"""The events of a stream on Anthropic's wire: one block after the other, whatever a model does."""

import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing.pricing import TokenUsage
from gateway.messages import answer
from gateway.messages.events import EventEncoder
from llm.types import Delta, Finished, Started, Thought, ToolCallDelta

STARTED = Started(usage_id=UUID(int=7), provider="vendor", model="vendor-model")
FINISHED = Finished(
    finish_reason="tool_calls",
    usage=TokenUsage(input_tokens=10, cached_input_tokens=4, output_tokens=5, reasoning_tokens=3),
    is_estimated=False,
    cost_usd=Decimal(0),
)


def call(index: int, *, id: str | None = None, name: str | None = None, said: str = "") -> Delta:
    return Delta(tool_calls=(ToolCallDelta(index, id, name, said),))


def told(*deltas: Delta) -> list[Any]:
    """Return the events between the message's beginning and its end."""
    encoder = EventEncoder(STARTED)
    written = b"".join([encoder.start(), *map(encoder.delta, deltas), encoder.finish(FINISHED)])
    lines = [line for line in written.decode().split("\n") if line.startswith("data: ")]
    first, *between, delta, last = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [first["type"], delta["type"], last["type"]] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    return between


def blocks(*deltas: Delta) -> list[tuple[str, str]]:
    """Return each block and what it says; check that none begins before the last one ended."""
    found: list[tuple[str, str]] = []
    is_open = False
    for event in told(*deltas):
        if event["type"] == "content_block_start":
            assert not is_open
            is_open = True
            found.append((event["content_block"].get("name", event["content_block"]["type"]), ""))
        elif event["type"] == "content_block_stop":
            is_open = False
        else:
            assert is_open
            change = dict(event["delta"])
            change.pop("type")
            found[-1] = (found[-1][0], found[-1][1] + "".join(change.values()))
        assert event["index"] == len(found) - 1
    assert not is_open
    return found


def test_thoughts_come_before_the_text_with_their_signature() -> None:
    signed = (Thought("two"), Thought(signature="EqQB"), Thought(hidden="c2VjcmV0"))

    assert blocks(
        Delta(reasoning="one "), Delta("Hi.", reasoning="two", thoughts=signed), Delta(" You.")
    ) == [("thinking", "one twoEqQB"), ("redacted_thinking", ""), ("text", "Hi. You.")]


def test_a_thought_that_is_not_shown_has_a_signature_all_the_same() -> None:
    assert blocks(Delta(thoughts=(Thought(signature="EqQB"),)), Delta("Hi.")) == [
        ("thinking", "EqQB"),
        ("text", "Hi."),
    ]


def test_calls_that_are_written_side_by_side_are_told_one_after_the_other() -> None:
    assert blocks(
        call(0, id="1", name="weather", said='{"city": '),
        call(1, id="2", name="time"),
        call(1, said='{"zone": "UTC"}'),
        call(0, said='"Bern"}'),
    ) == [("weather", '{"city": "Bern"}'), ("time", '{"zone": "UTC"}')]


def test_calls_one_after_the_other_are_told_as_they_come() -> None:
    encoder = EventEncoder(STARTED)
    encoder.delta(call(0, id="1", name="weather", said='{"city": "Bern"}'))

    second = encoder.delta(call(1, id="2", name="time", said='{"zone"'))

    assert b'"partial_json":"{\\"zone\\""' in second


def test_what_is_said_amid_a_call_comes_after_it() -> None:
    assert blocks(
        call(0, id="1", name="weather", said='{"city": '), Delta("\n"), call(0, said='"Bern"}')
    ) == [("weather", '{"city": "Bern"}'), ("text", "\n")]


def test_a_call_without_arguments_and_without_an_id() -> None:
    [start, stop] = told(call(0, name="now"))

    assert start["content_block"] == {
        "type": "tool_use",
        "id": f"toolu_{UUID(int=7).hex}_0",
        "name": "now",
        "input": {},
    }
    assert stop["type"] == "content_block_stop"


def test_nothing_said_is_a_message_without_blocks() -> None:
    assert told(Delta(raw=b"data: x\n\n")) == []


@pytest.mark.parametrize("usage", [FINISHED.usage])
def test_usage_in_anthropics_classes(usage: TokenUsage) -> None:
    found = answer.usage_of(usage)

    assert (found.input_tokens, found.cache_read_input_tokens) == (10, 4)
    assert (found.cache_creation_input_tokens, found.output_tokens) == (0, 8)
