"""How a response is told piece by piece, whatever order a vendor gives the pieces in."""

import json
from collections import Counter
from typing import Any

import msgspec
import pytest

from core.errors import AppError, InvalidRequest
from gateway.responses import answer, events, logprobs
from gateway.responses.writing import Output
from llm.errors import ConnectionFailed, RateLimited
from llm.types import Delta, ToolCallDelta

TOKEN = {"token": "Hi", "logprob": -0.5, "bytes": None}


def told(output: Output, *deltas: Delta) -> list[Any]:
    """Return all events of an answer, as a client reads them."""
    found = [event for delta in deltas for event in output.add(delta, [])]
    found += output.end("completed")
    return [json.loads(msgspec.json.encode(event)) for event in found]


def call(index: int, arguments: str = "", **first: str) -> Delta:
    return Delta(tool_calls=(ToolCallDelta(index, arguments=arguments, **first),))


def items(output: Output) -> Any:
    return msgspec.to_builtins(output.items)


def test_calls_that_are_written_at_once_keep_their_own_arguments() -> None:
    output = Output("a")

    heard = told(
        output,
        call(0, id="c1", name="now"),
        call(1, id="c2", name="then"),
        call(0, '{"zone"'),
        call(1, "{"),
        call(0, ': "UTC"}'),
        call(1, "}"),
    )

    first, second = items(output)
    assert (first["call_id"], first["arguments"]) == ("c1", '{"zone": "UTC"}')
    assert (second["call_id"], second["arguments"]) == ("c2", "{}")
    for item in (first, second):
        *deltas, _ = [event for event in heard if event.get("item_id") == item["id"]]
        assert "".join(event["delta"] for event in deltas) == item["arguments"]


def test_words_after_a_call_are_a_message_of_their_own() -> None:
    output = Output("a")

    told(output, Delta("One."), call(0, "{}", id="c1", name="now"), Delta("Two."))

    assert [item["type"] for item in items(output)] == ["message", "function_call", "message"]
    assert items(output)[2]["content"][0]["text"] == "Two."


def test_every_item_begins_once_and_ends_once_under_its_own_number() -> None:
    heard = told(
        Output("a"),
        Delta(reasoning="Hm."),
        Delta("One."),
        Delta(reasoning="Hm again."),
        Delta("Two."),
        call(0, "{}", id="c1", name="now"),
    )

    ends = Counter(event["type"] for event in heard if "output_item" in event["type"])
    assert ends == {"response.output_item.added": 5, "response.output_item.done": 5}
    added = [event for event in heard if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in added] == [0, 1, 2, 3, 4]
    assert len({event["item"]["id"] for event in added}) == 5
    assert {event["item"]["status"] for event in added} == {"in_progress"}
    assert all(not event["item"].get("content") for event in added)  # as it was then


def test_only_what_was_being_written_is_cut_off() -> None:
    output = Output("a")
    pieces = (call(0, "{}", id="c1", name="now"), call(1, '{"zo', id="c2", name="now"))

    for piece in pieces:
        output.add(piece, [])
    output.end("incomplete")

    assert [item["status"] for item in items(output)] == ["completed", "incomplete"]


def test_a_call_without_an_id_gets_one() -> None:
    output = Output("a")

    told(output, call(0, "{}", name="now"))

    assert items(output)[0]["call_id"].startswith("call_")


def test_logprobs_are_found_in_chunks_and_in_whole_answers() -> None:
    chunk = json.dumps({"choices": [{"delta": {}, "logprobs": {"content": [TOKEN]}}]})
    silent = json.dumps({"choices": [{"delta": {}, "logprobs": None}]})
    stream = f"data: {chunk}\n\ndata: {silent}\n\ndata: {chunk}\n\n".encode()

    assert [found.token for found in logprobs.read(stream)] == ["Hi", "Hi"]
    assert [found.bytes for found in logprobs.read(chunk.encode())] == [[]]
    assert logprobs.read(b'data: {"choices": "none"}\n\n') == []
    assert logprobs.read(None) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionFailed("gone"), "server_error"),
        (RateLimited("slowly"), "rate_limit_exceeded"),
        (InvalidRequest("no"), "invalid_prompt"),
    ],
)
def test_a_failed_response_says_why_in_the_words_that_openai_has(
    error: AppError, code: str
) -> None:
    assert answer.failure(error) == {"code": code, "message": error.message}


def test_a_stream_that_breaks_before_the_answer_began_has_an_error_event() -> None:
    name, data = events.error_event(ConnectionFailed("gone")).decode().split("\n", 1)

    told = json.loads(data.removeprefix("data: "))
    assert name == "event: error"
    assert (told["type"], told["sequence_number"]) == ("error", 0)
    assert told["message"] == told["error"]["message"] == "gone"
    assert told["code"] == told["error"]["code"] == "provider_connection_failed"
