"""What programs may send: read strictly, refused by the name of the field."""

import json
from typing import Any

import pytest
from msgspec import UNSET

from core.errors import AppError
from gateway import wire
from llm.types import Message

MESSAGES = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "now"}}


def parse(**parameters: Any) -> wire.Completion:
    return wire.parse(json.dumps({"model": "m", "messages": MESSAGES, **parameters}).encode())


def refusal(body: bytes) -> AppError:
    with pytest.raises(AppError) as caught:
        wire.parse(body)
    return caught.value


def test_a_request_is_read_with_all_it_asks() -> None:
    request = parse(
        stream=True,
        temperature=0.5,
        stop="END",
        max_completion_tokens=7,
        seed=3,
        user="ada",
        reasoning_effort="low",
        tools=[{"type": "function", "function": {"name": "now", "parameters": {}}}],
    ).as_request()

    assert (request.model, request.stream, request.temperature) == ("m", True, 0.5)
    assert (request.stop, request.max_tokens, request.seed) == (("END",), 7, 3)
    assert request.tools[0].function.name == "now"
    assert request.extra == {"user": "ada", "reasoning_effort": "low"}


def test_null_is_as_good_as_absent() -> None:
    request = parse(temperature=None, stop=None, tools=None, stream=None, n=None).as_request()

    assert (request.temperature, request.stop, request.tools, request.stream) == (
        None,
        (),
        (),
        False,
    )


def test_an_earlier_answer_of_the_official_client_may_be_sent_back() -> None:
    earlier: dict[str, Any] = {
        "role": "assistant",
        "content": "Hi",
        "refusal": None,
        "annotations": [],
    }

    request = parse(messages=[*MESSAGES, earlier, *MESSAGES]).as_request()

    assert request.messages[1].content == "Hi"


def test_an_earlier_refusal_may_be_sent_back_and_is_what_was_said() -> None:
    refused = {"role": "assistant", "content": None, "refusal": "I cannot."}

    request = parse(messages=[*MESSAGES, refused, *MESSAGES]).as_request()

    assert request.messages[1] == Message(role="assistant", content="I cannot.")


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        (
            {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
            "messages[0].content[0].type",
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": ""}, "model"),
        ({"model": "a\0b"}, "model"),
        ({"model": "a\n"}, "model"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"seed": 10**30}, "seed"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"service_tier": "gold"}, "service_tier"),
    ],
)
def test_a_wrong_field_is_named(parameters: dict[str, Any], param: str) -> None:
    error = refusal(json.dumps({"model": "m", "messages": MESSAGES, **parameters}).encode())

    assert (error.http_status, error.code, error.param) == (400, "invalid_request", param)
    assert param in error.message


def test_what_only_the_layers_below_fill_in_is_passed_over() -> None:
    tool = {**TOOL, "anthropic": {"type": "web_search_20250305"}}
    message = {**MESSAGES[0], "anthropic": {"thoughts": [{"hidden": "x"}]}}
    body = {"model": "m", "messages": [message], "tools": [tool]}

    request = wire.parse(json.dumps(body).encode()).as_request()

    assert request.messages[0].anthropic is None
    assert request.tools[0].anthropic is UNSET


@pytest.mark.parametrize(
    ("parameters", "code", "param"),
    [
        ({"temprature": 1}, "unknown_parameter", "temprature"),
        ({"stream_options": {"x": 1}}, "unknown_parameter", "stream_options.x"),
        ({"n": 2}, "unsupported_parameter", "n"),
        ({"functions": []}, "unsupported_parameter", "functions"),
        ({"web_search_options": {}}, "unsupported_parameter", "web_search_options"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(
    parameters: dict[str, Any], code: str, param: str
) -> None:
    error = refusal(json.dumps({"model": "m", "messages": MESSAGES, **parameters}).encode())

    assert (error.http_status, error.code, error.param) == (400, code, param)


@pytest.mark.parametrize(
    ("said", "code", "param"),
    [
        ({"routing": {"first": ["x"]}}, "unknown_parameter", "parley.routing.first"),
        ({"tags": ["no tag"]}, "invalid_request", "parley.tags"),
        ({"tags": ["t"] * 11}, "invalid_request", "parley.tags"),
        ({"tags": "nightly"}, "invalid_request", "parley.tags"),
        ({"task": "no task"}, "invalid_request", "parley.task"),
        ({"cache": {"mode": "maybe"}}, "invalid_request", "parley.cache.mode"),
        ({"cache": {"ttl": -1}}, "invalid_request", "parley.cache.ttl"),
        ({"promt": {}}, "unknown_parameter", "parley.promt"),
        ("x", "invalid_request", "parley"),
    ],
)
def test_what_is_wrong_with_an_extension_is_named(said: Any, code: str, param: str) -> None:
    error = refusal(json.dumps({"model": "m", "messages": MESSAGES, "parley": said}).encode())

    assert (error.http_status, error.code, error.param) == (400, code, param)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"\xff\xfe",
        b'{"model":"\\ud800","messages":[]}',
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","messages":[],"response_format":' + b'{"a":' * 100_000,
        b'{"model":"m","messages":[],"temperature":NaN}',
    ],
    ids=["empty", "text", "list", "bytes", "surrogate", "utf-8", "deep", "nan"],
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    error = refusal(body)

    assert (error.http_status, error.code) == (400, "invalid_request")
