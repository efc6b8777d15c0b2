"""What a variable may be is declared, and values are held to it."""

from typing import Any

import pytest

from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.engine import variables
from prompts.engine.rendering import compile_content
from prompts.errors import PromptContentInvalid, PromptVariablesInvalid


def tone(**more: Any) -> Variable:
    return Variable(**{"name": "tone", "type": "choice", "options": ("calm", "brisk"), **more})


def optional(**more: Any) -> Variable:
    return Variable(**{"name": "x", "required": False, **more})


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        (tone(options=()), "“tone” is a choice: give it options"),
        (tone(options=("calm", "calm")), "“tone” has an option twice"),
        (tone(options=("calm", " ")), "An option of “tone” has 1 to 200 characters"),
        (tone(options=("x" * 201,)), "An option of “tone” has 1 to 200 characters"),
        (tone(options=tuple(map(str, range(101)))), "“tone” has at most 100 options"),
        (tone(required=False, default="loud"), "The default of “tone” must be one of calm, brisk"),
        (tone(may_be_empty=False), "“tone” cannot be empty anyway"),
        (tone(max_length=3), "“tone” has no length"),
        (optional(options=("a",)), "“x” is no choice, so it has no options"),
        (optional(max_length=0), "The greatest length of “x” is between 1 and 1,000,000"),
        (optional(max_length=3, default="long"), "The default of “x” has at most 3 characters"),
        (optional(may_be_empty=False, default=" "), "The default of “x” must not be empty"),
        (
            optional(type="list", max_length=1, default=["a", "b"]),
            "The default of “x” has at most 1 items",
        ),
    ],
)
def test_a_rule_that_cannot_be_is_told(variable: Variable, problem: str) -> None:
    content = PromptContent(
        messages=(MessageTemplate(role="system", template="Hi"),), variables=(variable,)
    )

    with pytest.raises(PromptContentInvalid) as caught:
        compile_content(content)

    assert problem in caught.value.message
    assert caught.value.problems[0].place == "variables[0]"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (tone(), "brisk"),
        (optional(may_be_empty=False), "a"),
        (optional(max_length=3), "abc"),
        (optional(type="list", max_length=2, may_be_empty=False), [1, 2]),
        (optional(), ""),
        (optional(type="list"), []),
    ],
)
def test_a_value_within_the_rules_is_taken(variable: Variable, value: Any) -> None:
    assert variables.complete([variable], {variable.name: value}) == {variable.name: value}


def test_all_that_is_wrong_with_the_values_is_told_by_kind() -> None:
    declared = [
        Variable(name="a"),
        Variable(name="b", type="number"),
        Variable(name="c", may_be_empty=False),
        Variable(name="d", max_length=2),
        Variable(name="e", type="list", max_length=1),
        tone(),
    ]
    values = {"b": "1", "c": " ", "d": "abc", "e": [1, 2], "tone": "loud", "z": 1}

    with pytest.raises(PromptVariablesInvalid) as caught:
        variables.complete(declared, values)

    assert caught.value.param == "variables"
    assert caught.value.details == {
        "missing": "missing a",
        "unknown": "unknown z",
        "wrong_type": "b must be a number",
        "empty": "c must not be empty",
        "too_long": "d has at most 2 characters, e has at most 1 items",
        "not_an_option": "tone must be one of calm, brisk",
    }


def test_a_thousand_unknown_names_make_no_endless_error() -> None:
    with pytest.raises(PromptVariablesInvalid) as caught:
        variables.complete([], {str(number) * 1000: 1 for number in range(1000)})

    assert len(caught.value.message) < 3000
