"""What of a request on Anthropic's wire is sent to vendors, and what comes of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from billing.models import Outcome
from prompts import services as prompt_services
from prompts.content import MessageTemplate, ModelSettings, PromptContent
from prompts.releases import services as releases
from tests.gateway import record
from tests.messages_support import BERN, HELLO, WEATHER, AnthropicProgram, anthropic_program
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

pytestmark = pytest.mark.processes

KINDS = ("openai", "anthropic")
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
EPHEMERAL = {"type": "ephemeral"}
MARK = {"cache_control": EPHEMERAL}


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


USES = [
    {"type": "tool_use", "id": "call-1", "name": "weather", "input": {"city": "Bern"}},
    {"type": "tool_use", "id": "call-2", "name": "weather", "input": {}},
]
RESULTS = [
    {
        "type": "tool_result",
        "tool_use_id": "call-1",
        "content": [{"type": "text", "text": "A map."}, {"type": "image", "source": PNG}],
    },
    {"type": "tool_result", "tool_use_id": "call-2", "is_error": True, "content": "No city."},
]


def test_the_results_of_tools_in_openais_words(at_openai: AnthropicProgram) -> None:
    asked = {"role": "user", "content": [{"type": "text", "text": "So?"}, *RESULTS]}

    response = at_openai.post(
        tools=[WEATHER], messages=[*HELLO, {"role": "assistant", "content": USES}, asked]
    )

    assert response.status_code == 200, response.text
    _, calls, *told = at_openai.sent["messages"]
    arguments = [call["function"]["arguments"] for call in calls["tool_calls"]]
    assert arguments == ['{"city":"Bern"}', "{}"]
    map_told = [{"type": "text", "text": "A map."}]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert told == [
        {"role": "tool", "tool_call_id": "call-1", "content": map_told},
        {"role": "tool", "tool_call_id": "call-2", "content": "Error: No city."},
        {"role": "user", "content": [picture]},
        {"role": "user", "content": "So?"},
    ]


def test_the_choice_of_a_tool_in_openais_words(at_openai: AnthropicProgram) -> None:
    choice = {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}

    response = at_openai.post(
        tools=[{**WEATHER, "cache_control": EPHEMERAL}], tool_choice=choice, messages=HELLO
    )

    assert response.status_code == 200, response.text
    assert at_openai.sent["parallel_tool_calls"] is False
    assert at_openai.sent["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    function = {
        "name": "weather",
        "description": "Tell the weather",
        "parameters": WEATHER["input_schema"],
    }
    assert at_openai.sent["tools"] == [{"type": "function", "function": function}]


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


def test_a_prompt_by_its_name_and_tags(at_openai: AnthropicProgram) -> None:
    prompt = prompt_services.create_prompt(
        organization=at_openai.site.organization, name="greeting"
    )
    content = PromptContent(
        messages=(MessageTemplate(role="system", template="Greet."),),
        settings=ModelSettings(temperature=0.2),
    )
    version = prompt_services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=version.number, name="production")

    at_openai.create(extra_body={"parley": {"prompt": {"name": "greeting"}, "tags": ["nightly"]}})

    assert at_openai.sent["messages"] == [{"role": "system", "content": "Greet."}, *HELLO]
    assert at_openai.sent["temperature"] == 0.2
    row = record()
    assert (row.prompt_name, row.prompt_version, row.tags) == ("greeting", 1, ["nightly"])


def test_what_claude_code_sends_is_taken_by_every_model(caller: AnthropicProgram) -> None:
    """Its marks, betas and blocks, as its requests have them."""
    mark = {"type": "ephemeral", "ttl": "1h"}
    use = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "/a"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "text", **MARK}

    response = caller.http.post(
        "/messages?beta=true",
        headers={
            "anthropic-version": "2023-06-01",
            "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
        },
        json={
            "model": caller.model,
            "max_tokens": 4096,
            "stream": True,
            "temperature": 1,
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "medium"},
            "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            "metadata": {"user_id": "user_1_account__session_2"},
            "system": [
                {"type": "text", "text": "You are an agent."},
                {"type": "text", "text": "Long rules.", "cache_control": mark},
            ],
            "tools": [
                {
                    "name": "Read",
                    "description": "Read a file",
                    "input_schema": WEATHER["input_schema"],
                    "eager_input_streaming": True,
                }
            ],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Read /a."}]},
                {
                    "role": "assistant",
                    "content": [{"type": "thinking", "thinking": "", "signature": "EqQB"}, use],
                },
                {"role": "user", "content": [result]},
            ],
        },
    )

    assert response.status_code == 200, response.text
    assert "message_stop" in response.text
    assert record().outcome == Outcome.SUCCESS
