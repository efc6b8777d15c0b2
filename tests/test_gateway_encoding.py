"""Answers in OpenAI's wire format, where the vendor did not write it."""

import json
from decimal import Decimal
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from billing.pricing import TokenUsage
from core.ids import new_id
from gateway import encoding
from gateway.encoding import ChunkEncoder
from llm.types import Delta, Finished, Started, ToolCallDelta

STARTED = Started(usage_id=new_id(), provider="p", model="m-1")
FINISHED = Finished(
    finish_reason="stop",
    usage=TokenUsage(3, 2, 1, 4, 5),
    is_estimated=False,
    cost_usd=Decimal("0.1"),
    room_usd=Decimal("4.9"),
)
CALLS = (
    Delta(tool_calls=(ToolCallDelta(0, "call_1", "now", ""),)),
    Delta(tool_calls=(ToolCallDelta(0, None, None, '{"zone":'),)),
    Delta(tool_calls=(ToolCallDelta(0, None, None, '"UTC"}'),)),
)


def frames(wire: bytes) -> list[Any]:
    lines = [frame.removeprefix(b"data: ") for frame in wire.split(b"\n\n") if frame]
    return [line.decode() if line == b"[DONE]" else json.loads(line) for line in lines]


def stream(*deltas: Delta, include_usage: bool = False) -> list[Any]:
    encoder = ChunkEncoder(STARTED, include_usage=include_usage)
    return frames(b"".join(map(encoder.delta, deltas)) + encoder.finish(FINISHED))


def test_a_stream_has_one_id_the_role_first_and_one_end() -> None:
    *chunks, done = stream(Delta(text="Hel"), Delta(text="lo"))

    assert done == "[DONE]"
    assert {(chunk["id"], chunk["model"]) for chunk in chunks} == {
        (f"chatcmpl-{STARTED.usage_id.hex}", "m-1")
    }
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert all("usage" not in chunk for chunk in chunks)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)


def test_usage_comes_last_without_choices_if_it_was_asked_for() -> None:
    *chunks, last, done = stream(Delta(text="Hello"), include_usage=True)

    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 6,
        "completion_tokens": 9,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }


def test_an_answer_without_content_still_has_a_role_and_an_end() -> None:
    role, end, done = stream()

    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert end["choices"][0]["finish_reason"] == "stop"
    assert done == "[DONE]"


def test_what_the_vendor_wrote_is_relayed_and_our_usage_continues_it() -> None:
    raw = b'data: {"id":"theirs","created":7,"model":"their-model","choices":[]}\n\n'

    chunk, usage, done = stream(Delta(text="x", raw=raw), include_usage=True)

    theirs = {"id": "theirs", "created": 7, "model": "their-model", "choices": []}
    assert chunk == {**theirs, "usage": None}
    assert (usage["id"], usage["created"], usage["model"]) == ("theirs", 7, "their-model")
    assert done == "[DONE]"


def test_what_the_vendor_wrote_is_relayed_to_the_byte_where_no_usage_was_asked_for() -> None:
    raw = b'data: {"id": "theirs",  "choices":[]}\n\n'

    encoder = ChunkEncoder(STARTED, include_usage=False)

    assert encoder.delta(Delta(text="x", raw=raw)) == raw


def test_every_relayed_chunk_has_usage_where_it_was_asked_for() -> None:
    raw = (
        b'data: {"id":"a","choices":[{"delta":{"content":"\\"usage\\": 1"}}]}\n\n'
        b'data: {"id":"a","choices":[],"usage":null}\n\n'
    )

    first, second, *_ = stream(Delta(text="x", raw=raw), include_usage=True)

    assert (first["usage"], second["usage"]) == (None, None)
    assert first["choices"][0]["delta"]["content"] == '"usage": 1'


def test_the_last_chunk_tells_what_the_headers_cannot() -> None:
    *_, last, _ = stream(Delta(text="Hello"), include_usage=True)

    assert last["parley"] == {
        "usage_id": str(STARTED.usage_id),
        "provider": "p",
        "model": "m-1",
        "cost_usd": "0.1",
        "budget_remaining_usd": "4.9",
    }


def test_tool_calls_are_streamed_in_pieces() -> None:
    _, *chunks, _, _ = stream(*CALLS)

    calls = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks]
    assert calls[0] == {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "now", "arguments": ""},
    }
    assert "".join(call["function"]["arguments"] for call in calls) == '{"zone":"UTC"}'


def test_a_whole_answer_has_its_text() -> None:
    body = encoding.whole(STARTED, [Delta(text="Hel"), Delta(text="lo")], FINISHED)

    answer = ChatCompletion.model_validate_json(body, strict=True)
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 15


def test_a_whole_answer_has_its_tool_calls() -> None:
    answer = json.loads(encoding.whole(STARTED, CALLS, FINISHED))

    assert answer["choices"][0]["message"]["content"] is None
    assert answer["choices"][0]["message"]["tool_calls"] == [
        {
            "id": "call_1",
            "function": {"name": "now", "arguments": '{"zone":"UTC"}'},
            "type": "function",
        }
    ]


def test_a_whole_answer_of_the_vendor_is_relayed() -> None:
    assert encoding.whole(STARTED, [Delta(text="x", raw=b'{"id":1}')], FINISHED) == b'{"id":1}'
