"""Answers that are odd, but answers: what the caller gets of them, and what is billed.

An answer without content that the vendor ended by its own word is one: a model may have nothing to
say, after a tool's result for instance. It is relayed with its end, and billed as reported. What
brings neither content nor a reason for its end is malformed (see the table of faults).
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from llm import tokens
from llm.types import Call, Delta, Event, Finished, FinishReason
from tests.llm_support import MARKS, ask, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

KINDS = pytest.mark.parametrize("kind", ["openai", "anthropic"])
FORMS = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
QUESTION_TOKENS = 9
TEXT = Answer().text


def usage(prompt: int, completion: int, total: int | None = None, **more: Any) -> dict[str, Any]:
    figures = {"prompt_tokens": prompt, "completion_tokens": completion, **more}
    return figures if total is None else {**figures, "total_tokens": total}


@dataclass(frozen=True, slots=True)
class Odd:
    """An answer, and what is seen of it."""

    answer: Answer
    text: str = TEXT
    finish_reason: FinishReason = "stop"
    is_estimated: bool = False
    output_tokens: int = 5  # as reported


TWICE = f"{TEXT[:5]}{TEXT}"  # "Hello" comes twice: no number tells a repeated chunk from two
BROKEN = ({"id": "1", "name": "weather", "arguments": '{"city": "Ber'},)
ODD = {
    "empty": Odd(Answer(text="", usage=usage(10, 0)), text="", output_tokens=0),
    "empty, with tokens": Odd(Answer(text="", usage=usage(10, 2)), text="", output_tokens=2),
    "no usage": Odd(Answer(usage=None), is_estimated=True),
    "usage of nothing": Odd(Answer(usage=usage(0, 0, 0)), is_estimated=True),
    "no input": Odd(Answer(usage=usage(0, 5, 5)), is_estimated=True),
    "no output": Odd(Answer(usage=usage(10, 0, 10)), is_estimated=True),
    "negative": Odd(Answer(usage=usage(-7, 5)), is_estimated=True),
    "more than can be": Odd(Answer(usage=usage(2**40, 5)), is_estimated=True),
    "a long name": Odd(Answer(model="m" * 5_000)),
    "a name with NUL": Odd(Answer(model="m\0")),
    "broken arguments": Odd(
        Answer(text="", tool_calls=BROKEN, finish_reason="tool_calls"),
        text="",
        finish_reason="tool_calls",
    ),
    "an unknown end": Odd(Answer(finish_reason="bored")),
}
OPENAI_ODD = {
    "total below its parts": Odd(Answer(usage=usage(10, 5, 12)), is_estimated=True),
    "more cached than sent": Odd(
        Answer(usage=usage(10, 5, 15, prompt_tokens_details={"cached_tokens": 11})),
        is_estimated=True,
    ),
    "more thought than said": Odd(
        Answer(usage=usage(10, 5, 15, completion_tokens_details={"reasoning_tokens": 6})),
        is_estimated=True,
    ),
    "no end but [DONE]": Odd(
        Answer(
            body=b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\ndata: [DONE]\n\n',
        ),
        text="Hi",
        is_estimated=True,
    ),
    "usage in every chunk": Odd(
        Answer(
            body=b'data: {"choices": [{"delta": {"content": "Hi"}}],'
            b' "usage": {"prompt_tokens": 10, "completion_tokens": 1}}\n\n'
            b'data: {"choices": [{"delta": {"content": "!"}, "finish_reason": "stop"}],'
            b' "usage": {"prompt_tokens": 10, "completion_tokens": 2}}\n\ndata: [DONE]\n\n',
        ),
        text="Hi!",
        output_tokens=2,
    ),
    "content in parts": Odd(
        Answer(
            body=b'data: {"choices": [{"delta": {"content": [{"type": "text", "text": "Hi"}]},'
            b' "finish_reason": "stop"}],'
            b' "usage": {"prompt_tokens": 10, "completion_tokens": 1}}\n\n',
        ),
        text="Hi",
        output_tokens=1,
    ),
}


def check(odd: Odd, events: list[Event]) -> None:
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert text_of(events) == odd.text
    assert finished.finish_reason == odd.finish_reason
    assert finished.is_estimated == odd.is_estimated
    if odd.is_estimated:
        assert finished.usage.total_input == QUESTION_TOKENS
        assert finished.usage.total_output == tokens.count(odd.text, "vendor-model")
    else:
        assert finished.usage.total_output == odd.output_tokens
    cost = finished.usage.total_input + 2 * finished.usage.total_output
    assert finished.cost_usd == Decimal(cost) / 1_000_000


@FORMS
@KINDS
@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
async def test_an_odd_answer_is_an_answer(
    vendor: FakeVendor, call: Call, kind: str, odd: Odd, stream: bool
) -> None:
    await vendor.aserve(kind=kind)
    vendor.script(odd.answer)

    check(odd, await collect(ask(stream=stream), call))

    assert len(vendor.requests) == 1
    assert [(row.state, row.outcome) for row in await recorded()] == [("settled", "success")]


@pytest.mark.parametrize("odd", OPENAI_ODD.values(), ids=list(OPENAI_ODD))
async def test_an_odd_answer_on_openais_wire(vendor: FakeVendor, call: Call, odd: Odd) -> None:
    await vendor.aserve()
    vendor.script(odd.answer)

    check(odd, await collect(ask(), call))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("openai", '"finish_reason": "stop"'),
        ("openai", '"usage"'),
        ("openai", '"role"'),
        ("openai", "[DONE]"),
        ("anthropic", "message_start"),
        ("anthropic", "content_block_start"),
        ("anthropic", "content_block_stop"),
        ("anthropic", "message_delta"),
        ("anthropic", "message_stop"),
    ],
)
async def test_what_is_not_content_counts_once_however_often_it_comes(
    vendor: FakeVendor, call: Call, kind: str, word: str
) -> None:
    calls = ({"id": "1", "name": "weather", "arguments": "{}"},)
    await vendor.aserve(kind=kind)
    vendor.script(Answer(twice=word, tool_calls=calls))

    events = await collect(ask(), call)

    check(Odd(Answer()), events)
    pieces = [piece for event in events if isinstance(event, Delta) for piece in event.tool_calls]
    assert {piece.index for piece in pieces} == {0}
    assert "".join(piece.arguments for piece in pieces) == "{}"
    raw = b"".join(event.raw or b"" for event in events if isinstance(event, Delta))
    assert raw.count(b'"finish_reason": "stop"') == (kind == "openai")


@KINDS
async def test_repeated_content_is_relayed_as_it_came(
    vendor: FakeVendor, call: Call, kind: str
) -> None:
    await vendor.aserve(kind=kind)
    vendor.script(Answer(twice="Hello"))

    check(Odd(Answer(), text=TWICE), await collect(ask(), call))


@FORMS
@KINDS
async def test_broken_arguments_are_relayed_as_they_are(
    vendor: FakeVendor, call: Call, kind: str, stream: bool
) -> None:
    await vendor.aserve(kind=kind)
    vendor.script(ODD["broken arguments"].answer)

    events = await collect(ask(stream=stream), call)

    pieces = [piece for event in events if isinstance(event, Delta) for piece in event.tool_calls]
    assert "".join(piece.arguments for piece in pieces) == BROKEN[0]["arguments"]


async def test_tool_calls_that_all_have_the_number_0_stay_apart(
    vendor: FakeVendor, call: Call
) -> None:
    frames = [
        b'data: {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "%b", "function":'
        b' {"name": "weather", "arguments": "{}"}}]}}]}\n\n' % id
        for id in (b"a", b"b")
    ]
    end = b'data: {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}\n\n'
    await vendor.aserve()
    vendor.script(Answer(body=b"".join(frames) + end))

    events = await collect(ask(), call)

    pieces = [piece for event in events if isinstance(event, Delta) for piece in event.tool_calls]
    assert [(piece.index, piece.id, piece.arguments) for piece in pieces] == [
        (0, "a", "{}"),
        (1, "b", "{}"),
    ]
