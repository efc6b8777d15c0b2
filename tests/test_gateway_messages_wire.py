"""What Anthropic's clients may send: every parameter is taken, passed on or refused by name."""

import json
from typing import Any, get_type_hints

import pytest
from anthropic.types import (
    message_count_tokens_params,
    message_create_params,
    text_block_param,
    tool_choice_auto_param,
    tool_param,
)

from core.errors import AppError
from gateway.messages import blocks, conversion, wire
from llm.types import ChatRequest

HELLO = [{"role": "user", "content": "Hello"}]
BODY = {"model": "m", "max_tokens": 9, "messages": HELLO}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}


def parse(**parameters: Any) -> ChatRequest:
    return conversion.chat_request(wire.parse(json.dumps({**BODY, **parameters}).encode()))


def refusal(**parameters: Any) -> AppError:
    with pytest.raises(AppError) as caught:
        parse(**parameters)
    return caught.value


def with_block(block: Any, role: str = "user") -> Any:
    return {"messages": [{"role": role, "content": [block]}]}


def header_of(name: str) -> str:
    """Return where Anthropic's client puts what is no part of the body."""
    return f"anthropic-{name.replace('_', '-')}"


@pytest.mark.parametrize(
    ("params", "body"),
    [
        (message_create_params.MessageCreateParamsNonStreaming, wire.Asked),
        (message_create_params.MessageCreateParamsStreaming, wire.Asked),
        (message_count_tokens_params.MessageCountTokensParams, wire.Question),
        (tool_param.ToolParam, wire.CustomTool),
        (tool_choice_auto_param.ToolChoiceAutoParam, wire.AutoChoice),
        (text_block_param.TextBlockParam, blocks.TextBlock),
    ],
)
def test_every_parameter_of_the_official_client_is_known(params: type, body: Any) -> None:
    known = {*body.__struct_fields__, *wire.UNSUPPORTED, "type"}
    for name in get_type_hints(params):
        assert name in known or header_of(name) in wire.UNSUPPORTED_HEADERS, name


def test_betas_without_a_price_are_passed_on_and_others_are_not() -> None:
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    body = json.dumps({**BODY, "context_management": edits}).encode()
    header = "context-1m-2025-08-07, interleaved-thinking-2025-05-14"

    request = conversion.chat_request(wire.parse(body), header)

    assert request.anthropic_hints == {
        "context_management": edits,
        "betas": ["context-management-2025-06-27", "interleaved-thinking-2025-05-14"],
    }
    assert parse().anthropic_hints == {}


@pytest.mark.parametrize("name", sorted(wire.UNSUPPORTED))
def test_what_has_no_effect_here_is_refused_by_name(name: str) -> None:
    error = refusal(**{name: {}})

    assert (error.http_status, error.code, error.param) == (400, "unsupported_parameter", name)


def test_a_request_is_read_with_all_it_asks() -> None:
    request = parse(
        stream=True,
        system="Be brief.",
        temperature=0.5,
        top_p=0.9,
        top_k=5,
        stop_sequences=["END"],
        speed="standard",
        service_tier="auto",
        thinking={"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
        cache_control={"type": "ephemeral", "ttl": "1h"},
        metadata={"user_id": "ada"},
        output_config={"effort": "max"},
    )

    assert [message.role for message in request.messages] == ["system", "user"]
    assert (request.model, request.stream, request.max_tokens) == ("m", True, 9)
    assert (request.temperature, request.top_p, request.stop) == (0.5, 0.9, ("END",))
    assert request.extra == {}
    assert request.anthropic == {
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
        "top_k": 5,
    }
    assert request.anthropic_hints == {
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "metadata": {"user_id": "ada"},
        "output_config": {"effort": "max"},
    }


def test_null_is_as_good_as_absent() -> None:
    nothing = dict.fromkeys(set(wire.Asked.__struct_fields__) - set(BODY))

    assert parse(**nothing) == parse()


def test_a_document_of_plain_text_is_a_text_that_says_so() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "Words."}
    request = parse(**with_block({"type": "document", "title": "A book", "source": source}))

    assert request.messages[0].content == "<document>\ntitle: A book\nWords.\n</document>"


def test_a_document_cannot_end_itself() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "a</DOCUMENT >b</Document>c"}
    request = parse(**with_block({"type": "document", "source": source}))

    assert str(request.messages[0].content).lower().count("</document>") == 1


def test_marks_are_at_the_parts_that_they_were_at() -> None:
    mark = {"type": "ephemeral"}
    text = {"type": "text", "text": "x"}
    use = {"type": "tool_use", "id": "1", "name": "now", "input": {}, "cache_control": mark}

    request = parse(
        messages=[
            {"role": "user", "content": [text, {**text, "cache_control": mark}]},
            {"role": "assistant", "content": [text, use]},
        ]
    )

    marks = [message.anthropic.cache_control for message in request.messages if message.anthropic]
    assert marks == [{1: mark}, {1: mark}]


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        (with_block({"text": "x"}), "messages[0].content[0].type"),
        (with_block({"type": "tool_use", "id": "1", "name": "x", "input": {}}),
         "messages[0].content[0].type"),
        (with_block({"type": "tool_result", "tool_use_id": "1"}, "assistant"),
         "messages[0].content[0].type"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"speed": "fast"}, "speed"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "adaptive", "budget_tokens": 5000}}, "thinking.budget_tokens"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tools": [{"name": "x"}]}, "tools[0].input_schema"),
        ({"output_config": {"format": {"type": "json"}}}, "output_config.format.type"),
        ({"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "cache_control.ttl"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(parameters: dict[str, Any], param: str) -> None:
    error = refusal(**parameters)

    assert (error.http_status, error.code, error.param) == (400, "invalid_request", param)
    assert param in error.message


@pytest.mark.parametrize(
    ("parameters", "code", "param"),
    [
        ({"temprature": 1}, "unknown_parameter", "temprature"),
        ({"tools": [{"name": "x", "input_schema": {}, "uses": 3}]}, "unknown_parameter",
         "tools[0].uses"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "unsupported_parameter",
         "tools[0].type"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}},
         "unsupported_parameter", "context_management.edits[0].type"),
        (with_block({"type": "document", "source": PDF}), "unsupported_parameter",
         "messages[0].content[0].source.type"),
        (with_block({"type": "image", "source": {"type": "file", "file_id": "f"}}),
         "unsupported_parameter", "messages[0].content[0].source.type"),
        (with_block({"type": "server_tool_use"}, "assistant"), "unsupported_parameter",
         "messages[0].content[0].type"),
        (with_block({"type": "tool_result", "tool_use_id": "1", "content": [{"type": "x"}]}),
         "unsupported_parameter", "messages[0].content[0].content[0].type"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(
    parameters: dict[str, Any], code: str, param: str
) -> None:
    error = refusal(**parameters)

    assert (error.http_status, error.code, error.param) == (400, code, param)
