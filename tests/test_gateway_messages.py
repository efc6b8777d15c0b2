"""`/v1/messages` as the official client sees it, in one piece, whoever the vendor is."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Outcome, UsageRecord, UsageState
from tests.gateway import record
from tests.messages_support import BERN, HELLO, ROME, WEATHER, AnthropicProgram, anthropic_program
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

pytestmark = pytest.mark.processes

KINDS = ("openai", "anthropic")
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
EPHEMERAL = {"type": "ephemeral"}


@pytest.fixture(params=KINDS)
def caller(
    request: pytest.FixtureRequest, site: Site, vendor: FakeVendor
) -> Iterator[AnthropicProgram]:
    with anthropic_program(site, vendor, request.param) as running:
        yield running


@pytest.fixture
def at_openai(site: Site, vendor: FakeVendor) -> Iterator[AnthropicProgram]:
    with anthropic_program(site, vendor, "openai") as running:
        yield running


@pytest.fixture
def at_anthropic(site: Site, vendor: FakeVendor) -> Iterator[AnthropicProgram]:
    with anthropic_program(site, vendor, "anthropic") as running:
        yield running


def test_the_official_client_gets_an_answer_that_is_in_the_books(caller: AnthropicProgram) -> None:
    message = caller.create()

    row = record()
    assert message.id == f"msg_{row.id.hex}"
    assert (message.type, message.role, message.model) == ("message", "assistant", "vendor-model")
    assert [block.to_dict() for block in message.content] == [
        {"type": "text", "text": "Hello from the vendor, friend."}
    ]
    assert (message.stop_reason, message.stop_sequence) == ("end_turn", None)
    assert (message.usage.input_tokens, message.usage.output_tokens) == (10, 5)
    assert (row.state, row.outcome, row.surface) == (UsageState.SETTLED, Outcome.SUCCESS, "api")
    assert (row.input_tokens, row.output_tokens) == (10, 5)
    assert row.cost_usd == Decimal("0.00002")


def test_the_headers_say_who_answered_and_what_it_cost(caller: AnthropicProgram) -> None:
    response = caller.post()

    headers = response.headers
    assert headers["request-id"] == headers["x-request-id"]
    assert headers["x-parley-usage-id"] == str(record().id)
    assert headers["x-parley-cost-usd"] == "0.00002"
    assert (headers["x-parley-provider"], headers["x-parley-cache"]) == ("vendor", "miss")


def test_either_header_may_bring_the_key(caller: AnthropicProgram) -> None:
    asked = {"model": caller.model, "max_tokens": 5, "messages": HELLO}
    key = caller.site.api_key
    bearer = {"x-api-key": "", "Authorization": f"Bearer {key}", "anthropic-beta": "something"}

    assert caller.http.post("/messages?beta=true", json=asked, headers=bearer).status_code == 200
    assert caller.post().status_code == 200


def test_the_figures_of_the_vendors_cache_are_no_part_of_the_input(
    at_openai: AnthropicProgram,
) -> None:
    details = {"cached_tokens": 6}
    thought = {"reasoning_tokens": 2}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    at_openai.vendor.script(
        Answer(
            usage={**usage, "prompt_tokens_details": details, "completion_tokens_details": thought}
        )
    )

    usage = at_openai.create().usage

    assert (usage.input_tokens, usage.cache_read_input_tokens) == (4, 6)
    assert (usage.cache_creation_input_tokens, usage.output_tokens) == (0, 5)
    assert usage.output_tokens_details.thinking_tokens == 2


def test_what_anthropic_wrote_to_its_cache_is_told(at_anthropic: AnthropicProgram) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    cache = {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 3}
    at_anthropic.vendor.script(Answer(usage={**usage, **cache}))

    usage = at_anthropic.create().usage

    assert (usage.input_tokens, usage.cache_read_input_tokens) == (10, 7)
    assert usage.cache_creation_input_tokens == 3


def test_instructions_and_pictures_at_openai(at_openai: AnthropicProgram) -> None:
    url = {"type": "url", "url": "https://example.com/a.png"}
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image", "source": PNG},
        {"type": "image", "source": url},
    ]

    at_openai.post(
        system=[{"type": "text", "text": "Be brief.", "cache_control": EPHEMERAL}],
        messages=[{"role": "user", "content": content}],
        temperature=0.5,
        top_p=0.9,
        stop_sequences=["END"],
        metadata={"user_id": "ada"},
        service_tier="standard_only",
    )

    sent = at_openai.sent
    assert sent.pop("messages") == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
    ]
    assert sent == {
        "model": "vendor-model",
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "service_tier": "default",
    }


def test_instructions_and_pictures_at_anthropic(at_anthropic: AnthropicProgram) -> None:
    system = [{"type": "text", "text": "Be brief.", "cache_control": EPHEMERAL}]
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image", "source": PNG, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    own = {
        "metadata": {"user_id": "ada"},
        "output_config": {"effort": "low"},
        "service_tier": "standard_only",
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "top_k": 5,
    }

    response = at_anthropic.post(
        system=system,
        messages=[{"role": "user", "content": content}],
        tools=[{**WEATHER, "cache_control": EPHEMERAL}],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        stop_sequences=["a", "b", "c", "d", "e"],
        cache_control=EPHEMERAL,
        **own,
    )

    assert response.status_code == 200, response.text
    assert at_anthropic.sent == {
        "model": "vendor-model",
        "max_tokens": 100,
        "stream": False,
        "system": system,
        "messages": [{"role": "user", "content": content}],
        "tools": [{**WEATHER, "cache_control": EPHEMERAL}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "stop_sequences": ["a", "b", "c", "d", "e"],
        "cache_control": EPHEMERAL,
        **own,
    }


def test_what_clears_old_context_is_a_hint(caller: AnthropicProgram) -> None:
    edits: Any = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    beta = "context-management-2025-06-27"

    caller.anthropic.beta.messages.create(
        model=caller.model, max_tokens=100, messages=HELLO, context_management=edits, betas=[beta]
    )
    response = caller.post()

    assert response.status_code == 200
    managed, plain = caller.vendor.requests
    is_told = managed.path == "/v1/messages"
    assert managed.body.get("context_management") == (edits if is_told else None)
    assert managed.headers.get("anthropic-beta") == (beta if is_told else None)
    assert plain.headers.get("anthropic-beta") is None


def test_tools_there_and_back(caller: AnthropicProgram) -> None:
    caller.vendor.script(
        Answer(text="I look.", tool_calls=(BERN, ROME), finish_reason="tool_calls"), Answer()
    )
    answer = caller.create(tools=[WEATHER], tool_choice={"type": "any"})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"Sun in {block.input['city']}"}
        for block in answer.content
        if block.type == "tool_use"
    ]

    again = caller.create(
        tools=[WEATHER],
        messages=[
            *HELLO,
            answer.to_param(),
            {"role": "user", "content": [*results, {"type": "text", "text": "And now?"}]},
        ],
    )

    assert answer.stop_reason == "tool_use"
    assert [block.type for block in answer.content] == ["text", "tool_use", "tool_use"]
    assert answer.content[1].input == {"city": "Bern"}
    assert again.stop_reason == "end_turn"
    first, second = (request.body for request in caller.vendor.requests)
    assert first["tool_choice"] in ("required", {"type": "any"})
    assert [text for text in ("Sun in Bern", "Sun in Rome", "And now?") if text in str(second)] == [
        "Sun in Bern",
        "Sun in Rome",
        "And now?",
    ]


def test_the_results_of_tools_in_openais_words(at_openai: AnthropicProgram) -> None:
    uses = [
        {"type": "tool_use", "id": "call-1", "name": "weather", "input": {"city": "Bern"}},
        {"type": "tool_use", "id": "call-2", "name": "weather", "input": {}},
    ]
    results = [
        {
            "type": "tool_result",
            "tool_use_id": "call-1",
            "content": [{"type": "text", "text": "A map."}, {"type": "image", "source": PNG}],
        },
        {"type": "tool_result", "tool_use_id": "call-2", "is_error": True, "content": "No city."},
    ]

    response = at_openai.post(
        tools=[{**WEATHER, "cache_control": EPHEMERAL}],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        messages=[
            *HELLO,
            {"role": "assistant", "content": uses},
            {"role": "user", "content": [{"type": "text", "text": "So?"}, *results]},
        ],
    )

    assert response.status_code == 200, response.text
    _, calls, *told = at_openai.sent["messages"]
    assert [call["function"]["arguments"] for call in calls["tool_calls"]] == [
        '{"city":"Bern"}',
        "{}",
    ]
    assert told == [
        {
            "role": "tool",
            "tool_call_id": "call-1",
            "content": [{"type": "text", "text": "A map."}],
        },
        {"role": "tool", "tool_call_id": "call-2", "content": "Error: No city."},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
        },
        {"role": "user", "content": "So?"},
    ]
    assert at_openai.sent["parallel_tool_calls"] is False
    assert at_openai.sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert at_openai.sent["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tell the weather",
                "parameters": WEATHER["input_schema"],
            },
        }
    ]


def test_thoughts_go_back_to_anthropic_as_they_came(at_anthropic: AnthropicProgram) -> None:
    at_anthropic.vendor.script(
        Answer(
            text="",
            reasoning="Bern is a city.",
            hidden="c2VjcmV0",
            tool_calls=(BERN,),
            finish_reason="tool_calls",
        ),
        Answer(),
    )
    thinking = {"type": "enabled", "budget_tokens": 1024}
    answer = at_anthropic.create(tools=[WEATHER], thinking=thinking)
    result = {
        "type": "tool_result",
        "tool_use_id": "call-1",
        "is_error": True,
        "content": "No city.",
        "cache_control": EPHEMERAL,
    }

    at_anthropic.create(
        tools=[WEATHER],
        thinking=thinking,
        messages=[*HELLO, answer.to_param(), {"role": "user", "content": [result]}],
    )

    said = [block.to_dict() for block in answer.content]
    assert said == [
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
        {"type": "thinking", "thinking": "Bern is a city.", "signature": "EqQB"},
        {"type": "tool_use", "id": "call-1", "name": "weather", "input": {"city": "Bern"}},
    ]
    _, assistant, user = at_anthropic.sent["messages"]
    assert assistant == {"role": "assistant", "content": said}
    assert user["content"] == [{**result, "content": [{"type": "text", "text": "No city."}]}]


def test_thoughts_are_not_sent_to_others(at_openai: AnthropicProgram) -> None:
    at_openai.vendor.script(Answer(reasoning="Hm."))
    thought = {"type": "thinking", "thinking": "Secret.", "signature": "EqQB"}
    said = [thought, {"type": "text", "text": "Hi."}]

    with at_openai.stream(
        thinking={"type": "adaptive"},
        messages=[*HELLO, {"role": "assistant", "content": said}, *HELLO],
    ) as stream:
        answer = stream.get_final_message()

    assert at_openai.sent["messages"][1] == {"role": "assistant", "content": "Hi."}
    assert "thinking" not in at_openai.sent
    assert answer.content[0].to_dict() == {"type": "thinking", "thinking": "Hm.", "signature": ""}


def test_a_schema_at_openai(at_openai: AnthropicProgram) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}

    at_openai.create(output_config={"format": {"type": "json_schema", "schema": schema}})

    wanted = {"name": "answer", "schema": schema, "strict": True}
    assert at_openai.sent["response_format"] == {"type": "json_schema", "json_schema": wanted}


def test_a_schema_at_anthropic(at_anthropic: AnthropicProgram) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object", "properties": {}}}

    at_anthropic.post(output_format=wanted, output_config={"effort": "high"})

    assert at_anthropic.sent["output_config"] == {"effort": "high", "format": wanted}


STOPS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"finish_reason": "stop_sequence", "stop_sequence": "END"}, "stop_sequence", "END"),
    ({"finish_reason": "length"}, "max_tokens", None),
    ({"finish_reason": "refusal"}, "refusal", None),
]


@pytest.mark.parametrize(("said", "reason", "sequence"), STOPS)
def test_why_an_answer_ended(
    at_anthropic: AnthropicProgram, said: dict[str, Any], reason: str, sequence: str | None
) -> None:
    at_anthropic.vendor.script(Answer(**said))

    whole = at_anthropic.create(stop_sequences=["END"])
    with at_anthropic.stream(stop_sequences=["END"]) as stream:
        streamed = stream.get_final_message()

    for message in (whole, streamed):
        assert (message.stop_reason, message.stop_sequence) == (reason, sequence)


def test_arguments_that_are_no_json_are_handed_over_as_they_are(
    at_openai: AnthropicProgram,
) -> None:
    broken = {"id": "call-1", "name": "weather", "arguments": '{"city": '}
    at_openai.vendor.script(Answer(text="", tool_calls=(broken,), finish_reason="tool_calls"))

    [use] = at_openai.create(tools=[WEATHER]).content

    assert use.input == {"INVALID_JSON": '{"city": '}


def test_tokens_are_counted_for_nothing(caller: AnthropicProgram) -> None:
    count = caller.anthropic.messages.count_tokens

    little = count(model=caller.model, messages=HELLO)
    more = count(
        model=caller.model,
        system="Be brief. Be brief. Be brief.",
        messages=[{"role": "user", "content": "Hello, how many tokens are these words?"}],
        tools=[WEATHER],
        thinking={"type": "adaptive"},
    )

    assert 0 < little.input_tokens < 15
    assert more.input_tokens > little.input_tokens + 20
    assert caller.vendor.requests == []
    assert not UsageRecord.objects.exists()
