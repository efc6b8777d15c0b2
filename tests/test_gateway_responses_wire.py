"""What `/v1/responses` takes: read strictly, refused by the name of the field."""

import asyncio
import inspect
import json
from typing import Any, get_type_hints

import msgspec
import pytest
from openai.resources.responses import Responses as Client
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from accounts.principal import Principal
from core.errors import AppError
from gateway.responses import conversion, earlier, tools, wire
from llm.types import ChatRequest

NOW = {"type": "function", "name": "now", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "12:00"}

# What becomes of each parameter that OpenAI documents. One that is in no list fails the test below.
READ = {
    *("model", "input", "instructions", "stream", "stream_options", "max_output_tokens"),
    *("temperature", "top_p", "tools", "tool_choice", "text", "reasoning", "include"),
    *("top_logprobs", "metadata", "store", "truncation", "max_tool_calls", "service_tier"),
    "previous_response_id",
}
PASSED_ON = set(conversion.SAME)
REFUSED = set(wire.UNSUPPORTED)


def parse(**parameters: Any) -> ChatRequest:
    """Return what the layers below are asked."""
    body = {"model": "m", "input": "Hello", **parameters}
    asked = wire.parse(json.dumps(body).encode())
    conversation = asyncio.run(earlier.conversation_of(asked, Principal(organization_id=1)))
    return conversion.request_of(asked, tools.functions_of(asked.tools), conversation)


def messages(*items: Any, **parameters: Any) -> Any:
    """Return what a model is told, as JSON would have it."""
    return msgspec.to_builtins(parse(input=list(items), **parameters).messages)


def refusal(**parameters: Any) -> AppError:
    with pytest.raises(AppError) as caught:
        parse(**parameters)
    return caught.value


def test_every_parameter_of_the_official_client_has_its_place() -> None:
    known = set(get_type_hints(ResponseCreateParamsBase)) | {"stream"}
    assert {"input", "tools", "prompt"} <= known

    assert known == READ | PASSED_ON | REFUSED
    assert len(known) == len(READ) + len(PASSED_ON) + len(REFUSED)
    assert known <= set(inspect.signature(Client.create).parameters)
    assert known <= set(wire.CreateResponse.__struct_fields__)


@pytest.mark.parametrize("name", sorted(wire.UNSUPPORTED))
def test_what_cannot_be_honoured_is_refused_by_name(name: str) -> None:
    error = refusal(**{name: True if name == "background" else {"id": "x"}})

    assert (error.code, error.param) == ("unsupported_parameter", name)
    assert wire.UNSUPPORTED[name] in error.message


@pytest.mark.parametrize("name", sorted(PASSED_ON))
def test_what_is_passed_on_arrives(name: str) -> None:
    values: dict[str, Any] = {
        "parallel_tool_calls": False,
        "prompt_cache_options": {"mode": "explicit"},
    }
    value = values.get(name, "some")

    assert msgspec.to_builtins(parse(**{name: value}).extra) == {name: value}


def test_a_tier_is_asked_by_the_name_that_every_model_knows() -> None:
    assert parse(service_tier="flex").extra == {"service_tier": "flex"}
    assert parse(service_tier="fast").extra == {"service_tier": "priority"}


def test_null_and_false_are_as_good_as_absent() -> None:
    asked = parse(**dict.fromkeys((READ | PASSED_ON | REFUSED) - {"model", "input"}))

    assert asked == parse(background=False, stream=False)
    assert asked.extra == {}


def test_a_conversation_is_told_in_order() -> None:
    told = messages(
        {"role": "developer", "content": "In English."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No more."}]},
        {"type": "message", "role": "user", "content": "And now?"},
        instructions="Be short.",
    )

    assert [(message["role"], message["content"]) for message in told] == [
        ("system", "Be short."),
        ("system", "In English."),
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("assistant", "No more."),
        ("user", "And now?"),
    ]


def test_calls_that_were_made_at_once_are_one_message() -> None:
    told = messages(
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc"},
        CALL,
        {"type": "item_reference", "id": "rs_2"},
        {**CALL, "call_id": "c2", "id": "fc_1", "status": "completed"},
        {"role": "assistant", "content": "I ask."},
        RESULT,
        {**RESULT, "call_id": "c2", "output": [{"type": "input_text", "text": "13:00"}]},
        {"role": "assistant", "content": "Noon."},
    )

    _, assistant, first, second, last = told
    assert [call["id"] for call in assistant["tool_calls"]] == ["c1", "c2"]
    assert assistant["content"] == "I ask."
    assert (first["tool_call_id"], first["content"]) == ("c1", "12:00")
    assert (second["tool_call_id"], second["content"]) == ("c2", "13:00")
    assert (last["role"], last["content"]) == ("assistant", "Noon.")


def test_pictures_of_a_user_are_told() -> None:
    picture = {"type": "input_image", "image_url": "https://a/b.png", "detail": "low"}
    (told,) = messages({"role": "user", "content": [{"type": "input_text", "text": "?"}, picture]})

    assert told["content"][1]["image_url"] == {"url": "https://a/b.png", "detail": "low"}


def test_a_format_is_asked_in_the_words_of_chat_completions() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    wanted = {"type": "json_schema", "name": "thing", "schema": schema, "strict": True}

    asked = parse(text={"format": wanted, "verbosity": "low"})

    json_schema = {"name": "thing", "schema": schema, "strict": True}
    assert asked.response_format == {"type": "json_schema", "json_schema": json_schema}
    assert asked.extra == {"verbosity": "low"}
    assert parse(text={"format": {"type": "text"}}).response_format is None


def test_allowed_tools_are_all_that_is_offered() -> None:
    allowed = [{"type": "function", "name": "then"}]
    choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}

    asked = parse(tools=[NOW, {**NOW, "name": "then"}], tool_choice=choice)

    assert [tool.function.name for tool in asked.tools] == ["then"]
    assert asked.tool_choice == "required"


def test_a_choice_without_tools_is_left_out() -> None:
    assert parse(tool_choice="auto").tool_choice is None
    assert refusal(tool_choice="required").param == "tool_choice"


@pytest.mark.parametrize(
    ("parameters", "param", "code"),
    [
        ({"inputs": 1}, "inputs", "unknown_parameter"),
        ({"temperature": 3}, "temperature", "invalid_request"),
        ({"max_output_tokens": 0}, "max_output_tokens", "invalid_request"),
        ({"truncation": "auto"}, "truncation", "unsupported_parameter"),
        ({"stream_options": {}}, "stream_options", "invalid_request"),
        ({"include": ["file_search_call.results"]}, "include", "unsupported_parameter"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode", "invalid_request"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type", "invalid_request"),
        ({"tools": [NOW, {"type": "web_search"}]}, "tools[1].type", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "invalid_request"),
        ({"tools": [{**NOW, "defer_loading": True}]}, "tools[0].defer_loading", "invalid_request"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice", "unsupported_parameter"),
        (
            {"tools": [NOW], "tool_choice": {"type": "function", "name": "then"}},
            *("tool_choice", "invalid_request"),
        ),
        ({"service_tier": "ultrafast"}, "service_tier", "invalid_request"),
        ({"parley": {"prompts": 1}}, "parley.prompts", "unknown_parameter"),
        ({"parley": {"tags": ["a b"]}}, "parley.tags", "invalid_request"),
        ({"input": None}, "input", "invalid_request"),
        *[
            ({"previous_response_id": id}, "previous_response_id", "previous_response_not_found")
            for id in ("", "resp_1", f"resp_{'0' * 32}:used")
        ],
        (
            {"prompt_cache_options": {"prewarm": True}},
            *("prompt_cache_options.prewarm", "unknown_parameter"),
        ),
    ],
)
def test_what_is_wrong_is_named(parameters: Any, param: str, code: str) -> None:
    error = refusal(**parameters)

    assert (error.param, error.code) == (param, code)


@pytest.mark.parametrize(
    ("item", "param", "code"),
    [
        ({"role": "user"}, "input[1].content", "invalid_request"),
        ({"role": "robot", "content": ""}, "input[1].role", "invalid_request"),
        ({"role": "user", "content": "", "x": 1}, "input[1].x", "unknown_parameter"),
        ({"type": "web_search_call"}, "input[1].type", "unsupported_parameter"),
        ({"type": "item_reference", "id": "msg_1"}, "input[1]", "item_not_found"),
        ({**RESULT, "call_id": "c9"}, "input[1].call_id", "invalid_request"),
        ({**CALL, "namespace": "x"}, "input[1].namespace", "invalid_request"),
        (
            {"role": "user", "content": [{"type": "input_file", "file_id": "f"}]},
            *("input[1].content[0].type", "unsupported_parameter"),
        ),
        (
            {"role": "user", "content": [{"type": "input_image"}]},
            *("input[1].content[0].image_url", "invalid_request"),
        ),
        (
            {"role": "system", "content": [{"type": "input_image", "image_url": "https://a/b"}]},
            *("input[1].content", "invalid_request"),
        ),
    ],
)
def test_what_is_wrong_with_an_item_is_named(item: Any, param: str, code: str) -> None:
    error = refusal(input=[{"role": "user", "content": "Hi"}, item])

    assert (error.param, error.code) == (param, code)
