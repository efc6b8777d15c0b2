"""What is said to Anthropic and understood of it, beyond what all wires have in common."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from llm import errors
from llm.types import (
    Call,
    End,
    Finished,
    Tool,
)
from tests.llm_support import MARKS, ask, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor
from tests.wire_support import CONVERSATION, WEATHER, answer_over, connection_to, tool_calls

pytestmark = MARKS


async def test_a_tool_without_arguments_has_an_empty_object(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(kind="anthropic")
    vendor.script(Answer(tool_calls=({"id": "1", "name": "now", "arguments": ""},)))

    assert tool_calls(await collect(ask(), call)) == {0: ("1", "now", "{}")}


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


STOP_REASONS = [
    ("end_turn", "stop"),
    ("stop_sequence", "stop"),
    ("max_tokens", "length"),
    ("model_context_window_exceeded", "length"),
    ("pause_turn", "length"),
    ("tool_use", "tool_calls"),
    ("refusal", "content_filter"),
    ("something_new", "stop"),
]


@pytest.mark.parametrize(("said", "reason"), STOP_REASONS)
async def test_anthropics_reasons_to_stop(vendor: FakeVendor, said: str, reason: str) -> None:
    vendor.script(Answer(finish_reason=said))

    for stream in (True, False):
        *_, end = await answer_over(connection_to(vendor, kind="anthropic"), ask(stream=stream))

        assert isinstance(end, End)
        assert end.finish_reason == reason


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("tools", [(), (WEATHER,)])
async def test_anthropic_gives_any_json_through_a_tool(
    vendor: FakeVendor, call: Call, tools: tuple[Tool, ...], stream: bool
) -> None:
    answer = {"id": "1", "name": "json_object", "arguments": '{"city": "Bern"}'}
    await vendor.aserve(kind="anthropic")
    vendor.script(Answer(text="", tool_calls=(answer,), finish_reason="tool_calls"))
    wanted = {"type": "json_object"}

    events = await collect(ask(response_format=wanted, tools=tools, stream=stream), call)

    assert json.loads(text_of(events)) == {"city": "Bern"}
    assert tool_calls(events) == {}
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "stop"
    body = vendor.requests[0].body
    assert [tool["name"] for tool in body["tools"]][-1] == "json_object"
    assert body["tool_choice"]["type"] == ("any" if tools else "tool")


TOOL_CHOICES: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (None, {}, {"type": "auto"}),
    ("none", {"parallel_tool_calls": False}, {"type": "none"}),
    (
        "required",
        {"parallel_tool_calls": False},
        {"type": "any", "disable_parallel_tool_use": True},
    ),
    (
        {"type": "function", "function": {"name": "weather"}},
        {},
        {"type": "tool", "name": "weather"},
    ),
]


@pytest.mark.parametrize(("choice", "extra", "sent"), TOOL_CHOICES)
async def test_the_choice_of_a_tool_in_anthropics_words(
    vendor: FakeVendor, choice: Any, extra: dict[str, Any], sent: dict[str, Any]
) -> None:
    request = ask(tools=(WEATHER,), tool_choice=choice, extra=extra)

    await answer_over(connection_to(vendor, kind="anthropic"), request)

    assert vendor.requests[0].body["tool_choice"] == sent


async def test_anthropic_has_a_format_for_a_schema_and_parameters_of_its_own(
    vendor: FakeVendor,
) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    request = ask(response_format=wanted, extra={"top_k": 5, "logprobs": True})

    await answer_over(connection_to(vendor, kind="anthropic"), request)

    body = vendor.requests[0].body
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert body["top_k"] == 5
    assert "logprobs" not in body


async def test_anthropic_refuses_what_it_has_no_word_for(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(kind="anthropic")

    with pytest.raises(errors.RequestRefused):
        await collect(replace(ask(), response_format={"type": "grammar"}), call)

    assert vendor.requests == []
    [row] = await recorded()
    assert row.cost_usd == 0
