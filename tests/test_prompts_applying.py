"""What the caller says counts before the prompt, and an experiment's model before both."""

from typing import Any

import pytest
from msgspec.structs import replace

from core.errors import InvalidRequest
from llm.types import ChatRequest, FunctionDefinition, Message, PromptCache, Tool
from prompts.applying import applied
from prompts.content import ModelSettings, OutputSchema
from prompts.labelled import RenderedPrompt

ASKED = ChatRequest(model="fast", messages=(Message(role="user", content="Hello"),))
FULL = ModelSettings(
    model="careful",
    temperature=0.2,
    max_tokens=50,
    top_p=0.9,
    stop=("END",),
    seed=7,
    reasoning_effort="low",
)


def tool(name: str) -> Tool:
    return Tool(function=FunctionDefinition(name=name))


def prompt(settings: ModelSettings = FULL, **more: Any) -> RenderedPrompt:
    return RenderedPrompt(
        name="greeting",
        version=3,
        messages=(Message(role="system", content="Be kind."),),
        settings=settings,
        cache=PromptCache(),
        **more,
    )


def test_the_words_come_first_and_settings_fill_what_the_caller_leaves_open() -> None:
    request = applied(ASKED, prompt())

    assert [message.content for message in request.messages] == ["Be kind.", "Hello"]
    assert (request.temperature, request.max_tokens, request.top_p) == (0.2, 50, 0.9)
    assert (request.stop, request.seed) == (("END",), 7)
    assert request.extra == {"reasoning_effort": "low"}


def test_what_the_caller_says_counts() -> None:
    said: dict[str, Any] = {"temperature": 0.0, "max_tokens": 1, "top_p": 0.0, "seed": 0}
    said |= {"stop": ("STOP",), "extra": {"reasoning_effort": "high", "user": "a"}}
    said |= {"response_format": {"type": "text"}}
    asked = replace(ASKED, **said)

    request = applied(asked, prompt(output_schema=OutputSchema(name="x", schema={})))

    assert {name: getattr(request, name) for name in said} == said


@pytest.mark.parametrize(
    ("asked", "arm", "model"),
    [
        ("fast", "", "fast"),
        ("prompt", "", "careful"),
        ("", "", "careful"),
        ("fast", "tried", "tried"),
        ("", "tried", "tried"),
    ],
)
def test_whose_model_is_asked(asked: str, arm: str, model: str) -> None:
    assert applied(replace(ASKED, model=asked), prompt(arm_model=arm)).model == model


@pytest.mark.parametrize("asked", ["", "prompt"])
def test_somebody_has_to_name_a_model(asked: str) -> None:
    with pytest.raises(InvalidRequest, match="version 3 of the prompt") as caught:
        applied(replace(ASKED, model=asked), prompt(ModelSettings()))

    assert caught.value.param == "model"


def test_tools_of_both_are_offered() -> None:
    asked = replace(ASKED, tools=(tool("mine"),))

    request = applied(asked, prompt(tools=(tool("theirs"),)))

    assert [one.function.name for one in request.tools] == ["theirs", "mine"]
    with pytest.raises(InvalidRequest, match="brings a tool `mine` already"):
        applied(asked, prompt(tools=(tool("mine"),)))


def test_an_output_schema_asks_for_json() -> None:
    schema = OutputSchema(name="found", schema={"type": "object"}, strict=False)

    request = applied(ASKED, prompt(output_schema=schema))

    assert request.response_format == {
        "type": "json_schema",
        "json_schema": {"name": "found", "schema": {"type": "object"}, "strict": False},
    }


def test_a_prompt_without_settings_changes_nothing_but_the_words() -> None:
    assert replace(applied(ASKED, prompt(ModelSettings())), messages=ASKED.messages) == ASKED


def test_usage_records_say_what_was_used() -> None:
    used = prompt(experiment="tone", arm="brisk", unit="user:12").used()

    assert (used.name, used.version) == ("greeting", 3)
    assert (used.experiment, used.arm, used.unit) == ("tone", "brisk", "user:12")
