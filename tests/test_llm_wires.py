"""What is said to vendors and understood of them, beyond plain text."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from billing.pricing import TokenUsage
from llm import errors
from llm.types import (
    Call,
    Finished,
)
from tests.llm_support import MARKS, ask, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor
from tests.wire_support import CONVERSATION, WEATHER, answer_over, connection_to, tool_calls

pytestmark = MARKS

CALLS = (
    {"id": "call-1", "name": "weather", "arguments": '{"city": "Bern"}'},
    {"id": "call-2", "name": "weather", "arguments": "{}"},
)


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


@pytest.mark.parametrize(
    ("is_token", "header", "value"),
    [(False, "api-key", "secret-1"), (True, "Authorization", "Bearer secret-1")],
)
async def test_azure_is_shown_a_key_or_a_token(
    vendor: FakeVendor, is_token: bool, header: str, value: str
) -> None:
    connection = connection_to(vendor, kind="azure", api_key="secret-1", is_token=is_token)

    await answer_over(connection, ask(max_tokens=5))

    [received] = vendor.requests
    assert received.headers[header] == value
    assert len({"api-key", "Authorization"} & set(received.headers)) == 1
    assert received.query["api-version"] == "2024-10-21"


async def test_azures_newer_address_takes_the_deployment_as_the_model(vendor: FakeVendor) -> None:
    base_url = f"{vendor.url}/openai/v1/"
    connection = connection_to(vendor, kind="azure", base_url=base_url, api_key="secret-1")

    await answer_over(connection, ask(max_tokens=5))

    [received] = vendor.requests
    assert (received.path, received.query) == ("/openai/v1/chat/completions", {})
    assert received.headers["Authorization"] == "Bearer secret-1"
    assert (received.body["model"], received.body["max_completion_tokens"]) == ("vendor-model", 5)


async def test_a_key_that_cannot_be_sent_is_refused_here(vendor: FakeVendor) -> None:
    connection = connection_to(vendor, api_key="sk-1\r\nX-Admin: yes")

    with pytest.raises(errors.AuthenticationFailed, match="cannot be sent"):
        await answer_over(connection, ask())

    assert vendor.requests == []


@pytest.mark.parametrize("address", ["http://bad host/v1", "ftp://example.com/v1", "http:///v1"])
async def test_an_address_that_is_none_cannot_be_reached(vendor: FakeVendor, address: str) -> None:
    with pytest.raises(errors.ConnectionFailed):
        await answer_over(connection_to(vendor, base_url=address), ask())


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
    (
        "anthropic",  # written for five minutes and for an hour
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        },
        TokenUsage(
            input_tokens=10, cache_write_tokens=20, cache_write_1h_tokens=10, output_tokens=5
        ),
    ),
    (
        "openai",  # pictures are a part of the input, and what is written to the cache too
        {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "prompt_tokens_details": {
                **{"text_tokens": 235, "image_tokens": 765},
                **{"cached_tokens": 100, "cache_write_tokens": 50},
            },
        },
        TokenUsage(
            input_tokens=85,
            cached_input_tokens=100,
            cache_write_tokens=50,
            image_input_tokens=765,
            output_tokens=50,
        ),
    ),
    (
        "openai",  # most of the picture was cached: only the rest of it counts as a picture
        {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "prompt_tokens_details": {"image_tokens": 900, "cached_tokens": 800},
        },
        TokenUsage(cached_input_tokens=800, image_input_tokens=200, output_tokens=50),
    ),
    (
        "openai",  # a picture that was made
        {
            "prompt_tokens": 9,
            "completion_tokens": 1300,
            "completion_tokens_details": {"image_tokens": 1290, "reasoning_tokens": 4},
        },
        TokenUsage(input_tokens=9, output_tokens=6, reasoning_tokens=4, image_output_tokens=1290),
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


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_thinking_aloud_is_no_text_but_is_counted(
    vendor: FakeVendor, call: Call, kind: str
) -> None:
    await vendor.aserve(kind=kind)
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
