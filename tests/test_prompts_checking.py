"""What is wrong with a version is told by its place, all of it at once."""

from typing import Any

import pytest

from llm.types import FunctionDefinition, Tool
from prompts.content import MessageTemplate, ModelSettings, OutputSchema, PromptContent, Variable
from prompts.engine.rendering import compile_content
from prompts.errors import PromptContentInvalid

HI = (MessageTemplate(role="system", template="Hi"),)


def refused(**parts: Any) -> PromptContentInvalid:
    """Return the error that a version of these parts meets."""
    with pytest.raises(PromptContentInvalid) as caught:
        compile_content(PromptContent(**{"messages": HI, **parts}))
    return caught.value


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        (Variable(name="a b"), "“a b” is not a name"),
        (Variable(name="_a"), "“_a” is not a name"),
        (Variable(name="forloop"), "“forloop” is not a name"),
        (Variable(name="a", default="x"), "“a” is required, so it cannot have a default"),
        (
            Variable(name="a", type="number", required=False, default="x"),
            "The default of “a” must be a number",
        ),
    ],
)
def test_a_wrong_variable_is_told(variable: Variable, problem: str) -> None:
    assert problem in refused(variables=(variable,)).message


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"top_p": 1.5}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"seed": 2**63}, "seed"),
        ({"stop": ("",)}, "stop"),
        ({"stop": ("a",) * 5}, "stop"),
        ({"model": ""}, "model"),
        ({"model": "two\nlines"}, "model"),
        ({"reasoning_effort": "some"}, "reasoning_effort"),
        ({"max_tokens": 2**31}, "max_tokens"),
    ],
)
def test_a_setting_out_of_range_is_told_by_its_place(settings: dict[str, Any], place: str) -> None:
    error = refused(settings=ModelSettings(**settings))

    assert [problem.place for problem in error.problems] == [f"settings.{place}"]


def tool(name: str = "look_up", parameters: dict[str, Any] | None = None, **more: Any) -> Tool:
    return Tool(function=FunctionDefinition(name=name, parameters=parameters), **more)


@pytest.mark.parametrize(
    ("parts", "place", "text"),
    [
        ({"tools": (tool("no name"),)}, "tools[0]", "names no tool"),
        ({"tools": (tool(), tool())}, "tools[1]", "two tools `look_up`"),
        ({"tools": (tool(parameters={"type": "array"}),)}, "tools[0]", "of type `object`"),
        (
            {"tools": (tool(parameters={"type": "object", "properties": 1}),)},
            "tools[0]",
            "`look_up`: This is no JSON schema",
        ),
        ({"tools": (tool(anthropic={"type": "bash"}),)}, "tools[0]", "one vendor alone"),
        (
            {"output_schema": OutputSchema(name="x", schema={"type": "nothing"})},
            "output_schema",
            "This is no JSON schema",
        ),
        (
            {"output_schema": OutputSchema(name="", schema={"pattern": "(?=a)"})},
            "output_schema",
            "names no schema",
        ),
    ],
)
def test_a_wrong_tool_or_schema_is_told_by_its_place(
    parts: dict[str, Any], place: str, text: str
) -> None:
    problem = refused(**parts).problems[0]

    assert problem.place == place
    assert text in problem.text


def test_proper_tools_and_schemas_are_kept() -> None:
    content = PromptContent(
        messages=HI,
        settings=ModelSettings(
            model="fast", top_p=0.1, stop=("END",), seed=-1, reasoning_effort="low"
        ),
        tools=(tool(), tool("other", {"type": "object", "properties": {"a": {}}})),
        output_schema=OutputSchema(name="answer", schema={"type": "object"}),
    )

    assert compile_content(content).content == content


def test_problems_say_their_place_and_line() -> None:
    broken = MessageTemplate(role="user", template="\n{{ y }}\n{% if %}")

    error = refused(messages=(*HI, broken), locales={"de": HI})

    [problem] = error.problems
    assert (problem.place, problem.line) == ("messages[1]", 3)
    assert problem.sentence == error.message


def test_everything_that_is_wrong_is_told_at_once() -> None:
    error = refused(
        messages=(MessageTemplate(role="system", template="{{ y }}"),),
        variables=(Variable(name="x"), Variable(name="x")),
        settings=ModelSettings(temperature=3.0, max_tokens=0),
    )

    for problem in ("“y” is not declared", "“x” is declared twice", "temperature", "output tokens"):
        assert problem in error.message
