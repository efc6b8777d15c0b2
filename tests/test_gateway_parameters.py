"""Every parameter that the official client knows is honoured, passed on or refused by name."""

import json
import uuid
from collections.abc import Iterator
from typing import Any, get_type_hints

import openai
import pytest
from openai.types.chat import completion_create_params

from core.errors import AppError
from gateway import wire
from gateway.errors import UnsupportedParameter
from llm.providers import Connection, Deployment, anthropic_parameters, untaken
from llm.providers.openai import OpenAIProvider
from tests.gateway import MESSAGES, Program, eventually, frames, program, record
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "now", "parameters": SCHEMA, "strict": True}}

# A value of each parameter that asks for something, and what OpenAI is sent for it.
SAMPLES: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "logit_bias": {"15339": -100},
    "logprobs": True,
    "max_completion_tokens": 7,
    "metadata": {"order": "7"},
    "modalities": ["text"],
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "Hello"},
    "presence_penalty": -0.5,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "low",
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": SCHEMA, "strict": True},
    },
    "safety_identifier": "7",
    "seed": 3,
    "service_tier": "flex",
    "stop": ["END"],
    "store": True,
    "temperature": 0.5,
    "tool_choice": {"type": "function", "function": {"name": "now"}},
    "tools": [TOOL],
    "top_logprobs": 2,
    "top_p": 0.5,
    "user": "ada",
    "verbosity": "low",
}
# What has another name there, or is Parley's own business.
OTHERWISE = {"messages", "model", "max_tokens", "n", "stream", "stream_options"}


def parsed(**parameters: Any) -> wire.Completion:
    body = {"model": "m", "messages": MESSAGES, **parameters}
    return wire.parse(json.dumps(body).encode())


def sent_to_openai(**parameters: Any) -> dict[str, Any]:
    """Return the body that OpenAI is sent for a request."""
    connection = Connection(name="openai", kind="openai", api_key="k")
    deployment = Deployment(connections=(connection,), model="vendor-model")
    request = parsed(**parameters).as_request()
    body: dict[str, Any] = json.loads(OpenAIProvider(connection)._body(request, deployment))
    return body


def official() -> set[str]:
    """Return the parameters that the official client knows."""
    streaming = completion_create_params.CompletionCreateParamsStreaming
    return set(get_type_hints(streaming))


def test_every_parameter_of_the_official_client_is_known() -> None:
    taken = set(wire.Completion.__struct_fields__) - {"parley"}

    assert taken | set(wire.UNSUPPORTED) == official()
    assert not taken & set(wire.UNSUPPORTED)
    assert set(SAMPLES) | OTHERWISE == taken


@pytest.mark.parametrize("name", SAMPLES)
def test_a_parameter_reaches_openai_as_it_was_given(name: str) -> None:
    assert sent_to_openai(**{name: SAMPLES[name]})[name] == SAMPLES[name]
    assert name not in sent_to_openai()


def test_both_names_of_the_limit_are_one() -> None:
    assert sent_to_openai(max_tokens=7) == sent_to_openai(max_completion_tokens=7)


def test_a_stream_asks_for_its_usage() -> None:
    sent = sent_to_openai(stream=True)

    assert (sent["stream"], sent["stream_options"]) == (True, {"include_usage": True})


def test_fast_is_another_name_of_priority() -> None:
    assert sent_to_openai(service_tier="fast")["service_tier"] == "priority"


@pytest.mark.parametrize("name", wire.UNSUPPORTED)
def test_what_is_not_supported_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parsed(**{name: {}})

    assert caught.value.param == name
    assert wire.UNSUPPORTED[name] in caught.value.message


@pytest.mark.parametrize("number", [0, 2, 128])
def test_there_is_one_answer(number: int) -> None:
    with pytest.raises(AppError) as caught:
        parsed(n=number)

    assert caught.value.param == "n"


@pytest.mark.parametrize("name", wire.EXTRA)
def test_anthropic_honours_it_or_is_not_asked(name: str) -> None:
    request = parsed(**{name: SAMPLES[name]}).as_request()

    drops = untaken("anthropic", request)
    is_translated = bool(anthropic_parameters.translated(request.extra))
    is_a_hint = name in anthropic_parameters.HINTS
    is_as_ever = name in ("modalities", "parallel_tool_calls")  # text; beside the tools' choice
    assert [drops is not None, is_translated, is_a_hint, is_as_ever].count(True) == 1


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


LOGPROBS = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}]}


@pytest.mark.processes
def test_probabilities_of_tokens_come_back(caller: Program) -> None:
    whole = {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi"},
                "logprobs": LOGPROBS,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
    }
    caller.vendor.script(Answer(body=json.dumps(whole).encode()))

    answer = caller.openai.chat.completions.create(
        model=caller.model, messages=MESSAGES, logprobs=True
    )

    assert answer.choices[0].logprobs is not None
    assert answer.choices[0].logprobs.content is not None
    assert answer.choices[0].logprobs.content[0].logprob == -0.1


@pytest.mark.processes
def test_the_last_chunk_tells_who_answered_and_what_it_cost(caller: Program) -> None:
    response = caller.post(stream=True, stream_options={"include_usage": True})

    *chunks, last, done = frames(response)
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["parley"] == {
        "usage_id": str(record().pk),
        "provider": "vendor",
        "model": "vendor-model",
        "cost_usd": "0.00002",
        "budget_remaining_usd": "4.99998",
    }


@pytest.mark.processes
def test_a_parameter_that_nobody_behind_the_name_takes_is_refused(
    site: Site, vendor: FakeVendor
) -> None:
    name = f"claude-{uuid.uuid4().hex}"
    with FakeVendor("anthropic") as other, program(site, vendor) as caller:
        other.serve(name, kind="anthropic")
        eventually(lambda: caller.http.get(f"/models/{name}").is_success)

        with pytest.raises(openai.BadRequestError) as caught:
            caller.openai.chat.completions.create(model=name, messages=MESSAGES, logprobs=True)

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "logprobs")
    assert other.requests == []
