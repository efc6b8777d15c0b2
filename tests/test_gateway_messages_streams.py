"""Streams on Anthropic's wire: blocks in order, tools, thoughts, breaks, silences, who leaves."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from asgiref.sync import sync_to_async

from accounts import keys
from accounts.models import Organization
from billing.models import Outcome, UsageRecord, UsageState
from gateway.messages.consumers import Messages
from tests.gateway import eventually, record
from tests.gateway_edge import Edge
from tests.llm_support import recorded
from tests.messages_support import (
    BERN,
    ROME,
    WEATHER,
    AnthropicProgram,
    anthropic_program,
    events_of,
)
from tests.servers import Site
from tests.vendor import Answer, FakeVendor, Gate

TEXT = "Hello from the vendor, friend."
KINDS = ("openai", "anthropic")
over_http = pytest.mark.processes
in_process = pytest.mark.usefixtures("transactional_db", "tidy_loop", "no_retries")


@pytest.fixture(params=KINDS)
def caller(
    request: pytest.FixtureRequest, site: Site, vendor: FakeVendor
) -> Iterator[AnthropicProgram]:
    with anthropic_program(site, vendor, request.param) as running:
        yield running


@over_http
def test_the_official_helper_streams_text_and_finds_it_in_the_books(
    caller: AnthropicProgram,
) -> None:
    with caller.stream() as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
        row = record()

    assert text == TEXT
    assert (message.id, message.model) == (f"msg_{row.id.hex}", "vendor-model")
    assert message.stop_reason == "end_turn"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 5)
    assert (row.state, row.outcome) == (UsageState.SETTLED, Outcome.SUCCESS)
    assert (row.input_tokens, row.output_tokens) == (10, 5)


@over_http
def test_the_events_come_in_the_order_that_anthropic_gives_them(caller: AnthropicProgram) -> None:
    response = caller.post(stream=True)

    events = [event for event in events_of(response) if event["type"] != "ping"]
    kinds = [event["type"] for event in events]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["x-parley-provider"] == "vendor"
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[0]["message"] == {
        "type": "message",
        "id": f"msg_{record().id.hex}",
        "role": "assistant",
        "model": "vendor-model",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    }
    assert events[1]["content_block"] == {"type": "text", "text": ""}
    assert events[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2]["usage"]["output_tokens"] == 5


@over_http
def test_tools_called_in_parallel_are_streamed(caller: AnthropicProgram) -> None:
    caller.vendor.script(
        Answer(text="I look.", tool_calls=(BERN, ROME), finish_reason="tool_calls")
    )

    with caller.stream(tools=[WEATHER]) as stream:
        message = stream.get_final_message()

    assert [block.to_dict() for block in message.content] == [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "call-1", "name": "weather", "input": {"city": "Bern"}},
        {"type": "tool_use", "id": "call-2", "name": "weather", "input": {"city": "Rome"}},
    ]
    assert message.stop_reason == "tool_use"


@over_http
def test_thoughts_are_streamed_with_their_signatures(site: Site, vendor: FakeVendor) -> None:
    vendor.script(Answer(reasoning="Bern is a city.", hidden="c2VjcmV0"))

    with anthropic_program(site, vendor, "anthropic") as caller, caller.stream() as stream:
        message = stream.get_final_message()

    assert [block.to_dict() for block in message.content] == [
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "thinking", "thinking": "Bern is a city.", "signature": "EqQB"},
        {"type": "text", "text": TEXT},
    ]


@over_http
def test_a_vendor_that_dies_ends_in_an_error_event_and_no_false_end(
    caller: AnthropicProgram,
) -> None:
    caller.vendor.script(Answer(fault="close", after=3))

    response = caller.post(stream=True)

    *said, error = events_of(response)
    assert "message_stop" not in [event["type"] for event in said]
    assert error["type"] == "error"
    assert error["error"]["type"] == "api_error"
    assert error["error"]["details"]["error_code"].startswith("provider_")
    assert error["request_id"] == response.headers["request-id"]
    assert record().outcome == Outcome.FAILED


@over_http
def test_the_official_client_raises_where_a_vendor_dies(caller: AnthropicProgram) -> None:
    caller.vendor.script(Answer(fault="end", after=3))

    with caller.stream() as stream, pytest.raises(anthropic.APIStatusError) as caught:
        list(stream)

    assert caught.value.type == "api_error"


@over_http
def test_a_client_that_leaves_stops_the_vendor_and_pays_once(caller: AnthropicProgram) -> None:
    gate = Gate()
    caller.vendor.script(Answer(gate=gate, gate_after=3))

    with caller.stream() as stream:
        next(stream.text_stream)

    eventually(lambda: caller.vendor.cancelled == 1)
    gate.open()
    eventually(lambda: UsageRecord.objects.filter(state=UsageState.SETTLED).exists())
    row = record()
    assert (row.outcome, row.is_estimated) == (Outcome.STOPPED, True)


@over_http
def test_an_answer_from_the_cache_has_its_thoughts_as_well(site: Site, vendor: FakeVendor) -> None:
    vendor.script(Answer(reasoning="Bern is a city.", stop_sequence="END"))

    with anthropic_program(site, vendor, "anthropic", is_cached=True) as caller:
        made = caller.post(stream=True)
        kept = caller.post()

    assert kept.headers["x-parley-cache"] == "hit"
    [end] = [event for event in events_of(made) if event["type"] == "message_delta"]
    assert end["delta"]["stop_sequence"] == kept.json()["stop_sequence"] == "END"
    assert [block.get("signature") for block in kept.json()["content"]] == ["EqQB", None]


@in_process
@pytest.mark.parametrize("gate_after", [0, 3])
async def test_a_silent_model_is_pinged_for(
    acme: Organization, vendor: FakeVendor, settings: Any, gate_after: int
) -> None:
    settings.KEEP_ALIVE_SECONDS = 0.01
    gate = Gate()
    vendor.script(Answer(gate=gate, gate_after=gate_after))
    await vendor.aserve()
    _, secret = await sync_to_async(keys.create)(organization=acme, name="program")
    edge = Edge(secret, max_tokens=100, stream=True)

    answer: asyncio.Task[None] = edge.ask(Messages)
    await edge.until(b'event: ping\ndata: {"type":"ping"}\n\n')
    gate.open()
    await answer

    lines = [line for line in edge.body.decode().split("\n") if line.startswith("data: ")]
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    spoken = [event for event in events if event["type"] != "ping"]
    assert (spoken[0]["type"], spoken[-1]["type"]) == ("message_start", "message_stop")
    [row] = await recorded()
    assert row.outcome == Outcome.SUCCESS
