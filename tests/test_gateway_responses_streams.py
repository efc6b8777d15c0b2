"""Streamed responses: typed events in order, and nothing looks complete that is not."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel

from billing.models import Outcome, UsageRecord, UsageState
from tests.gateway import Program, eventually, program, record
from tests.servers import Site
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = pytest.mark.processes

HELLO = "Hello from the vendor, friend."
NOW: Any = {"type": "function", "name": "now", "parameters": {"type": "object"}, "strict": False}
CALLS = [
    {"id": "call_1", "name": "now", "arguments": '{"zone": "UTC"}'},
    {"id": "call_2", "name": "now", "arguments": '{"zone": "CET"}'},
]


class Sum(BaseModel):
    total: int


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def ask(caller: Program, **parameters: Any) -> httpx2.Response:
    asked = {"model": caller.model, "input": "Hello", "stream": True, **parameters}
    return caller.http.post("/responses", json=asked)


def events_of(response: httpx2.Response) -> list[Any]:
    """Return the events; each is named as its type and numbered from 0."""
    frames = [frame.split("\n", 1) for frame in response.text.split("\n\n") if frame]
    events = [json.loads(data.removeprefix("data: ")) for _, data in frames]
    assert [name for name, _ in frames] == [f"event: {event['type']}" for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def kinds(events: list[Any]) -> list[str]:
    """Return the types without what repeats itself."""
    found = [event["type"].removeprefix("response.") for event in events]
    return [kind for place, kind in enumerate(found) if place == 0 or found[place - 1] != kind]


def test_the_events_of_an_answer_come_in_order_and_the_books_are_closed(caller: Program) -> None:
    response = ask(caller)

    events = events_of(response)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert kinds(events) == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.done", "content_part.done", "output_item.done"),
        "completed",
    ]
    deltas = [event["delta"] for event in events if event["type"].endswith("text.delta")]
    assert "".join(deltas) == HELLO
    created, completed = events[0]["response"], events[-1]["response"]
    assert (created["status"], created["output"], created["usage"]) == ("in_progress", [], None)
    assert (completed["status"], completed["id"]) == ("completed", created["id"])
    assert completed["output"][0]["content"][0]["text"] == HELLO
    assert completed["usage"]["total_tokens"] == 15
    row = record()
    assert (row.state, row.outcome) == (UsageState.SETTLED, Outcome.SUCCESS)
    assert response.headers["x-parley-usage-id"] == str(row.id)
    assert completed["id"] == f"resp_{row.id.hex}"
    assert completed["parley"] == {
        "usage_id": str(row.id),
        "provider": "vendor",
        "model": "vendor-model",
        "cost_usd": "0.00002",
        "budget_remaining_usd": "4.99998",
    }


def test_the_official_client_follows_a_stream(caller: Program) -> None:
    caller.vendor.script(Answer(text='{"total": 4}'))

    with caller.openai.responses.stream(
        model=caller.model, input="2 + 2?", text_format=Sum
    ) as stream:
        deltas = [event for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()

    assert "".join(delta.delta for delta in deltas) == '{"total": 4}'
    assert final.output_parsed == Sum(total=4)
    assert final.usage is not None
    assert final.usage.output_tokens == 5


def test_thinking_words_and_calls_are_items_of_their_own(caller: Program) -> None:
    caller.vendor.script(
        Answer(
            text="Let me see.",
            reasoning="Which zone?",
            tool_calls=CALLS,
            finish_reason="tool_calls",
        )
    )

    events = events_of(ask(caller, tools=[NOW]))

    thought, said, first, second = events[-1]["response"]["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Which zone?"}]
    assert said["content"][0]["text"] == "Let me see."
    assert (first["call_id"], json.loads(first["arguments"])) == ("call_1", {"zone": "UTC"})
    assert (second["call_id"], json.loads(second["arguments"])) == ("call_2", {"zone": "CET"})
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == [thought, said, first, second]
    assert {item["status"] for item in done} == {"completed"}
    *deltas, end = [event for event in events if event.get("item_id") == first["id"]]
    assert "".join(event["delta"] for event in deltas) == end["arguments"] == first["arguments"]
    assert kinds(events)[2:8] == [
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
    ]


def test_the_official_client_gets_calls_from_a_stream(caller: Program) -> None:
    caller.vendor.script(Answer(text="", tool_calls=CALLS, finish_reason="tool_calls"))

    with caller.openai.responses.stream(
        model=caller.model, input="How late is it?", tools=[NOW]
    ) as stream:
        final = stream.get_final_response()

    assert [item.type for item in final.output] == ["function_call", "function_call"]


@pytest.mark.parametrize(
    ("finish_reason", "why"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_a_stream_that_was_cut_off_is_incomplete(
    caller: Program, finish_reason: str, why: str
) -> None:
    caller.vendor.script(Answer(finish_reason=finish_reason))

    events = events_of(ask(caller))

    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": why}
    assert events[-2]["item"]["status"] == "incomplete"


def test_a_stream_that_breaks_ends_failed(caller: Program) -> None:
    caller.vendor.script(Answer(fault="close", after=3))

    *_, error, failed = events_of(ask(caller))

    assert (error["type"], error["code"][:9]) == ("error", "provider_")
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"]["code"] == "server_error"
    assert HELLO.startswith(failed["response"]["output"][0]["content"][0]["text"])
    assert record().outcome == Outcome.FAILED


def test_the_official_client_raises_where_a_stream_breaks(caller: Program) -> None:
    caller.vendor.script(Answer(fault="end", after=3))

    with (
        caller.openai.responses.create(model=caller.model, input="Hello", stream=True) as stream,
        pytest.raises(openai.APIError) as caught,
    ):
        list(stream)

    assert caught.value.code is not None
    assert caught.value.code.startswith("provider_")


def test_a_vendor_that_fails_before_the_first_word_is_a_plain_error(caller: Program) -> None:
    caller.vendor.script(Answer(status=400, error={"message": "no such thing"}))

    response = ask(caller)

    assert response.status_code == 400
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_client_that_leaves_stops_the_vendor_and_pays_once(caller: Program) -> None:
    gate = Gate()
    caller.vendor.script(Answer(gate=gate, gate_after=2))
    asked = {"model": caller.model, "input": "Hello", "stream": True}

    with caller.http.stream("POST", "/responses", json=asked) as response:
        assert any("output_text.delta" in line for line in response.iter_lines())

    eventually(lambda: caller.vendor.cancelled == 1)
    eventually(lambda: UsageRecord.objects.filter(state=UsageState.SETTLED).exists())
    gate.open()
    row = record()
    assert (row.outcome, row.is_estimated) == (Outcome.STOPPED, True)
    assert row.output_tokens > 0
