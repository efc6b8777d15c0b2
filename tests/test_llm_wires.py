"""What is said to vendors and understood of them, beyond plain text."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from billing.pricing import TokenUsage
from llm import errors
from llm.types import (
    Call,
    Delta,
    Event,
    Finished,
    FunctionCall,
    FunctionDefinition,
    ImagePart,
    ImageUrl,
    Message,
    TextPart,
    Tool,
    ToolCall,
)
from tests.llm_support import MARKS, ask, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

WEATHER = Tool(FunctionDefinition("weather", "Tell the weather", {"type": "object"}))
CALLS = (
    {"id": "call-1", "name": "weather", "arguments": '{"city": "Bern"}'},
    {"id": "call-2", "name": "weather", "arguments": "{}"},
)


def tool_calls(events: list[Event]) -> dict[int, tuple[str, str, str]]:
    """Return id, name and arguments of each call, put together from its pieces."""
    calls: dict[int, tuple[str, str, str]] = {}
    for event in events:
        for piece in event.tool_calls if isinstance(event, Delta) else ():
            known = calls.get(piece.index, ("", "", ""))
            calls[piece.index] = (
                known[0] + (piece.id or ""),
                known[1] + (piece.name or ""),
                known[2] + piece.arguments,
            )
    return calls


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_tool_calls_come_out_with_whole_arguments(
    vendor: FakeVendor, call: Call, kind: str, stream: bool
) -> None:
    await vendor.aserve(kind=kind)
    vendor.script(Answer(text="Let me see.", tool_calls=CALLS, finish_reason="tool_calls"))

    events = await collect(ask(tools=(WEATHER,), stream=stream), call)

    found = tool_calls(events)
    assert [(id, name) for id, name, _ in found.values()] == [
        ("call-1", "weather"),
        ("call-2", "weather"),
    ]
    assert [json.loads(arguments) for *_, arguments in found.values()] == [{"city": "Bern"}, {}]
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "tool_calls"
    assert text_of(events) == "Let me see."


async def test_a_tool_without_arguments_has_an_empty_object(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(kind="anthropic")
    vendor.script(Answer(tool_calls=({"id": "1", "name": "now", "arguments": ""},)))

    assert tool_calls(await collect(ask(), call)) == {0: ("1", "now", "{}")}


CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", (TextPart("What is it?"), ImagePart(ImageUrl("data:image/png;base64,AAAA")))),
    Message(
        "assistant",
        tool_calls=(
            ToolCall("call-1", FunctionCall("weather", '{"city": "Bern"}')),
            ToolCall("call-2", FunctionCall("weather", "")),
        ),
    ),
    Message("tool", "Rain.", tool_call_id="call-1"),
    Message("tool", "Sun.", tool_call_id="call-2"),
    Message("user", (ImagePart(ImageUrl("https://example.com/a.png")),)),
)


async def test_a_conversation_in_anthropics_words(
    vendor: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENDOR_KEY", "secret")
    await vendor.aserve(kind="anthropic")
    request = ask(
        tools=(WEATHER,), tool_choice="required", temperature=1.5, stop=("END",), max_tokens=77
    )

    await collect(replace(request, messages=CONVERSATION), call)

    [received] = vendor.requests
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert received.body["system"] == "Be brief."
    assert (received.body["max_tokens"], received.body["temperature"]) == (77, 1.0)
    assert received.body["stop_sequences"] == ["END"]
    assert received.body["tool_choice"] == {"type": "any"}
    assert received.body["tools"] == [
        {
            "name": "weather",
            "description": "Tell the weather",
            "input_schema": {"type": "object"},
        }
    ]
    question, calls, results = received.body["messages"]
    assert question["content"][1]["source"] == {
        "type": "base64",
        "media_type": "image/png",
        "data": "AAAA",
    }
    assert [block["input"] for block in calls["content"]] == [{"city": "Bern"}, {}]
    assert [block["type"] for block in results["content"]] == [
        "tool_result",
        "tool_result",
        "image",
    ]
    assert results["content"][0]["content"] == [{"type": "text", "text": "Rain."}]


async def test_a_conversation_in_openais_words(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    request = ask(tools=(WEATHER,), tool_choice="auto", seed=3, extra={"logprobs": True})

    await collect(replace(request, messages=CONVERSATION), call)

    body = vendor.requests[0].body
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["messages"][2]["tool_calls"][0]["function"]["name"] == "weather"
    assert body["messages"][3] == {"role": "tool", "content": "Rain.", "tool_call_id": "call-1"}
    assert body["stream_options"] == {"include_usage": True}
    assert (body["seed"], body["logprobs"], body["tool_choice"]) == (3, True, "auto")
    assert "temperature" not in body


async def test_azure_has_the_deployment_in_its_address(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(kind="azure", model="my-gpt")

    await collect(ask(), call)

    [received] = vendor.requests
    assert received.path == "/openai/deployments/my-gpt/chat/completions"
    assert "api-version" in received.query
    assert received.body["max_completion_tokens"] == 4096


async def test_a_server_of_ones_own_is_sent_nothing_meant_for_openai(
    vendor: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai-only")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Team: secret")
    await vendor.aserve()

    await collect(ask(), call)

    sent = {name.lower() for name in vendor.requests[0].headers}
    assert not sent & {"authorization", "openai-organization", "x-team"}


USAGES: list[tuple[str, dict[str, Any], TokenUsage]] = [
    (
        "openai",
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 80},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        TokenUsage(input_tokens=20, cached_input_tokens=80, output_tokens=20, reasoning_tokens=30),
    ),
    (
        "openai",  # a vendor whose reasoning comes on top of its output
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 180,
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        TokenUsage(input_tokens=100, output_tokens=50, reasoning_tokens=30),
    ),
    (
        "anthropic",  # its cache comes on top of its input
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "cache_read_input_tokens": 70,
            "cache_creation_input_tokens": 30,
        },
        TokenUsage(input_tokens=10, cached_input_tokens=70, cache_write_tokens=30, output_tokens=5),
    ),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("kind", "reported", "usage"), USAGES)
async def test_tokens_are_counted_once(
    vendor: FakeVendor,
    call: Call,
    kind: str,
    reported: dict[str, Any],
    usage: TokenUsage,
    stream: bool,
) -> None:
    await vendor.aserve(kind=kind)
    vendor.script(Answer(usage=reported))

    *_, finished = await collect(ask(stream=stream), call)

    assert isinstance(finished, Finished)
    assert finished.usage == usage


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("reason", "outcome"), [("length", "partial"), ("content_filter", "filtered")]
)
async def test_the_outcome_tells_how_it_ended(
    vendor: FakeVendor, call: Call, kind: str, reason: str, outcome: str
) -> None:
    await vendor.aserve(kind=kind)
    said = "refusal" if (kind, reason) == ("anthropic", "content_filter") else reason
    vendor.script(Answer(finish_reason=said))

    *_, finished = await collect(ask(), call)

    assert isinstance(finished, Finished)
    assert finished.finish_reason == reason
    assert [row.outcome for row in await recorded()] == [outcome]


async def test_thinking_aloud_is_no_text_but_is_counted(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="Yes.", reasoning="Is it so?", usage=None))

    events = await collect(ask(), call)

    assert text_of(events) == "Yes."
    assert isinstance(events[-1], Finished)
    assert events[-1].usage.reasoning_tokens == 4


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("cut", [1, 7])
async def test_an_answer_in_small_pieces_is_whole(
    vendor: FakeVendor, call: Call, kind: str, cut: int
) -> None:
    await vendor.aserve(kind=kind)
    vendor.script(Answer(text="Grüße an 😀 alle", cut=cut))

    assert text_of(await collect(ask(), call)) == "Grüße an 😀 alle"


async def test_anthropic_refuses_what_it_has_no_word_for(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(kind="anthropic")

    with pytest.raises(errors.RequestRefused):
        await collect(replace(ask(), response_format={"type": "json_object"}), call)

    assert vendor.requests == []
    [row] = await recorded()
    assert row.cost_usd == 0
