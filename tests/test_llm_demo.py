"""The demo provider: answers without a model, tools, JSON, and faults on demand."""

import json
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from llm import attempts, demo, errors
from llm.attempts import Policy
from llm.models import Deployment, Provider, Route
from llm.providers.demo import FAULTS
from llm.routing import routes
from llm.types import (
    Call,
    Delta,
    Finished,
    FunctionCall,
    FunctionDefinition,
    Message,
    Started,
    Tool,
    ToolCall,
)
from tests.llm_support import MARKS, ask, collect, recorded, text_of

pytestmark = [*MARKS, pytest.mark.usefixtures("demo_models")]

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER = Tool(FunctionDefinition("weather", "Tell the weather", CITY))
CLOCK = Tool(FunctionDefinition("clock", "Tell the time"))
FORMS = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


@pytest.fixture
def demo_models(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm.providers.demo.provider.TOKENS_PER_SECOND", {})
    monkeypatch.setattr("llm.providers.demo.faults.SLOW_SECONDS", 0.1)
    demo.seed()
    demo.seed()
    stalling = Deployment.objects.filter(model__startswith="fault-stall")
    stalling.update(first_token_seconds=0.2, idle_seconds=0.5)
    stalling.filter(model="fault-stall-20").update(first_token_seconds=60)
    routes.forget()


async def test_the_demo_says_that_it_is_one(call: Call) -> None:
    first = await collect(ask(model="default"), call)

    again = await collect(ask(model="demo-small"), call)

    assert text_of(first).startswith("This is Parley's demo model")
    assert text_of(again) == text_of(first)
    *_, finished = first
    assert isinstance(finished, Finished)
    assert finished.cost_usd


# What the caller sees; how often it is tried follows from that.
FAILURES: dict[str, type[errors.ProviderError]] = {
    "fault-401": errors.AuthenticationFailed,
    "fault-429": errors.RateLimited,
    "fault-500": errors.ServerError,
    "fault-529": errors.Overloaded,
    "fault-context": errors.ContextTooLong,
    "fault-filter": errors.ContentFiltered,
    "fault-garbage": errors.MalformedAnswer,
    "fault-stall": errors.TimedOut,
    "fault-stall-20": errors.TimedOut,
    "fault-cut-20": errors.ConnectionFailed,
}


@FORMS
@pytest.mark.parametrize("model", FAILURES)
async def test_the_demos_faults_fail_as_their_names_say(
    call: Call, model: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(retries=1, base_delay=0.001, first_content=60)
    monkeypatch.setattr(attempts, "POLICY", policy)
    error = FAILURES[model]

    with pytest.raises(error, match=r"demo model|did not answer"):
        await collect(ask(model=model, stream=stream), call)

    has_spoken = stream and model.endswith("-20")
    tries = 2 if error.is_retryable and not has_spoken else 1
    rows = await recorded()
    assert [row.error_class for row in rows] == [error.__name__] * tries
    if has_spoken:
        assert [row.output_tokens > 10 for row in rows] == [True]


async def test_every_fault_has_its_test() -> None:
    answered = {"slow-first-token", "empty", "usage-missing", "bad-tool-call"}

    assert set(FAULTS) == set(FAILURES) | {f"fault-{name}" for name in answered}


async def test_an_empty_answer_is_an_answer(call: Call) -> None:
    started, finished = await collect(ask(model="fault-empty"), call)

    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert finished.usage.output_tokens == 0


async def test_a_slow_beginning_shows_in_the_books(call: Call) -> None:
    await collect(ask(model="fault-slow-first-token"), call)

    [row] = await recorded()
    assert row.ttft_ms is not None
    assert row.ttft_ms >= 100


async def test_missing_usage_is_estimated(call: Call) -> None:
    *_, finished = await collect(ask(model="fault-usage-missing"), call)

    assert isinstance(finished, Finished)
    assert finished.is_estimated
    assert finished.usage.output_tokens > 20
    assert finished.cost_usd is not None
    assert finished.cost_usd > Decimal(0)


@FORMS
async def test_broken_arguments_of_a_tool_are_relayed_as_they_are(call: Call, stream: bool) -> None:
    request = ask(model="fault-bad-tool-call", tools=(WEATHER,), stream=stream)

    name, arguments = called(await collect(request, call))

    assert name == "weather"
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(arguments)


@FORMS
async def test_a_tool_is_called_with_arguments_of_its_schema(call: Call, stream: bool) -> None:
    request = ask(model="demo-small", tools=(WEATHER, CLOCK), stream=stream)

    events = await collect(request, call)

    name, arguments = called(events)
    assert name == "weather"
    Draft202012Validator(CITY).validate(json.loads(arguments))
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("auto", "weather"),
        ("required", "weather"),
        ({"type": "function", "function": {"name": "clock"}}, "clock"),
        ("none", ""),
    ],
)
async def test_the_caller_chooses_the_tool(call: Call, choice: Any, name: str) -> None:
    request = ask(model="demo-small", tools=(WEATHER, CLOCK), tool_choice=choice)

    assert called(await collect(request, call))[0] == name


async def test_the_tools_result_is_in_the_answer(call: Call) -> None:
    messages = (
        Message("user", "How is it in Bern?"),
        Message("assistant", tool_calls=(ToolCall("1", FunctionCall("weather", "{}")),)),
        Message("tool", "Rain, 7 degrees.", tool_call_id="1"),
    )
    request = replace(ask(model="demo-small", tools=(WEATHER,)), messages=messages)

    assert "Rain, 7 degrees." in text_of(await collect(request, call))


@FORMS
async def test_json_is_of_the_schema_that_is_asked_for(call: Call, stream: bool) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}

    events = await collect(ask(model="demo-small", response_format=wanted, stream=stream), call)

    Draft202012Validator(CITY).validate(json.loads(text_of(events)))


async def test_any_json_is_an_object(call: Call) -> None:
    wanted = {"type": "json_object"}

    events = await collect(ask(model="demo-small", response_format=wanted), call)

    assert isinstance(json.loads(text_of(events)), dict)


def test_an_older_installation_gets_the_models_that_it_lacks() -> None:
    Provider.objects.get(name="demo").deployments.filter(model="fault-529").delete()
    Route.objects.filter(alias="fault-529").delete()
    Route.objects.filter(alias="demo-small").update(description="Ours")

    demo.seed()

    assert Route.objects.get(alias="fault-529").deployments.get().model == "fault-529"
    assert not Route.objects.get(alias="fault-529").is_listed
    assert Route.objects.get(alias="demo-small").description == "Ours"


def called(events: list[Any]) -> tuple[str, str]:
    """Return name and arguments of the tool that the answer calls."""
    pieces = [piece for event in events if isinstance(event, Delta) for piece in event.tool_calls]
    name = "".join(piece.name or "" for piece in pieces)
    return name, "".join(piece.arguments for piece in pieces)
