"""Which figures of a vendor are booked, and what the caller sees of those that are not."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway import encoding
from llm import tokens
from llm.types import (
    Call,
    Delta,
    Event,
    Finished,
    ImagePart,
    ImageUrl,
    Message,
    Started,
    TextPart,
)
from tests.llm_support import MARKS, ask, collect, recorded
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

FORMS = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
KINDS = pytest.mark.parametrize("kind", ["openai", "anthropic"])
LONG = "The quick brown fox jumps over the lazy dog. " * 20 + "The end."  # 200 tokens
OUTPUT = tokens.count(LONG, "vendor-model")


def usage(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, **more}


def end_of(events: list[Event]) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


@FORMS
@KINDS
async def test_one_token_for_a_long_answer_is_not_believed(
    vendor: FakeVendor, call: Call, kind: str, stream: bool
) -> None:
    await vendor.aserve(kind=kind)
    vendor.script(Answer(text=LONG, usage=usage(10, 1)))

    finished = end_of(await collect(ask(stream=stream), call))

    assert finished.is_estimated
    assert finished.usage.total_output == OUTPUT
    [row] = await recorded()
    assert (row.is_estimated, row.output_tokens) == (True, OUTPUT)
    assert row.cost_usd == finished.cost_usd


async def test_thinking_and_tool_calls_count_as_much_as_text(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    arguments = json.dumps({"text": LONG})
    calls = ({"id": "1", "name": "say", "arguments": arguments},)
    answers = (
        Answer(text="x", reasoning=LONG, usage=usage(10, 1)),
        Answer(text="", tool_calls=calls, finish_reason="tool_calls", usage=usage(10, 1)),
    )
    for answer in answers:
        vendor.script(answer)
        assert end_of(await collect(ask(), call)).usage.total_output >= OUTPUT


@FORMS
async def test_one_token_for_a_long_question_is_not_believed(
    vendor: FakeVendor, call: Call, stream: bool
) -> None:
    await vendor.aserve()
    vendor.script(Answer(usage=usage(1, 5)))

    finished = end_of(await collect(ask(LONG, stream=stream), call))

    assert finished.is_estimated
    assert finished.usage.total_input > 190


@FORMS
@pytest.mark.parametrize(
    ("text", "output"),
    [
        (LONG, OUTPUT // 8),  # another tokenizer
        (LONG, OUTPUT * 10),  # it has thought, and does not show it
        ("Hello there, what a fine day it is", 1),  # so little that it does not matter
        ("=" * 4000, 70),  # few tokens for many bytes are looked at, and may be true
    ],
)
async def test_what_can_be_is_booked_as_reported(
    vendor: FakeVendor, call: Call, text: str, output: int, stream: bool
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text=text, usage=usage(10, output)))

    finished = end_of(await collect(ask(stream=stream), call))

    assert (finished.is_estimated, finished.usage.total_output) == (False, output)


async def test_a_picture_is_not_held_against_the_vendor(vendor: FakeVendor, call: Call) -> None:
    """What one costs is the vendor's affair; ours is a guess."""
    await vendor.aserve()
    picture = ImagePart(ImageUrl("data:image/png;base64,AAAA"))
    messages = (Message("user", (TextPart(LONG), picture)),)

    finished = end_of(await collect(replace(ask(), messages=messages), call))

    assert (finished.is_estimated, finished.usage.total_input) == (False, 10)


@pytest.mark.parametrize("figures", [usage(10**18, 5), usage(10, 10**18), usage(10, 1), None])
async def test_the_caller_of_a_whole_answer_sees_what_is_booked(
    vendor: FakeVendor, call: Call, figures: dict[str, Any] | None
) -> None:
    await vendor.aserve(is_cached=True)
    vendor.script(Answer(text=LONG, usage=figures))

    for _ in range(2):  # the second time from the cache
        events = await collect(ask(stream=False, temperature=0.0), call)
        started, finished = events[0], end_of(events)
        assert isinstance(started, Started)
        deltas = [event for event in events if isinstance(event, Delta)]

        body = json.loads(encoding.whole(started, deltas, finished))

        assert body["usage"]["completion_tokens"] == OUTPUT
        assert body["usage"]["prompt_tokens"] < 100
        assert body["choices"][0]["message"]["content"] == LONG
    assert len(vendor.requests) == 1


async def test_figures_in_a_chunk_with_words_are_not_relayed(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    figures = b'"usage": {"prompt_tokens": 1000000000000000000, "completion_tokens": 2}}\n\n'
    vendor.script(
        Answer(
            body=b'data: {"id": "7", "choices": [{"delta": {"content": "Hi \\ud83d"}}], '
            + figures
            + b'data: {"choices": [{"delta": {"content": "!"}, "finish_reason": "stop"}], '
            + figures
            + b"data: [DONE]\n\n"
        )
    )

    events = await collect(ask(), call)

    raw = b"".join(event.raw or b"" for event in events if isinstance(event, Delta))
    frames = [json.loads(frame[5:]) for frame in raw.split(b"\n\n") if frame]
    assert [frame["usage"] for frame in frames] == [None, None]
    assert frames[0]["id"] == "7"
    assert frames[1]["choices"][0]["finish_reason"] == "stop"
    assert end_of(events).is_estimated
