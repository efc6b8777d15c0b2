"""Two versions side by side: what changed is marked, and nothing is lost."""

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm.types import FunctionDefinition, Tool
from prompts.content import (
    MessageTemplate,
    ModelSettings,
    OutputSchema,
    PromptContent,
    Variable,
)
from prompts.releases.comparison import Part, compare
from prompts.releases.diff import Block, Span, compare_texts
from prompts.releases.runs import Effort, runs

LINES = st.lists(st.sampled_from(["", " ", "a", "b", "a b", "c a", "d"]), max_size=12)


def texts(spans: tuple[Span, ...], is_changed: bool = True) -> list[str]:
    return [span.text for span in spans if span.is_changed == is_changed]


def content(*said: tuple[Any, str], **more: Any) -> PromptContent:
    return PromptContent(messages=tuple(MessageTemplate(*one) for one in said), **more)


def titles(parts: list[Part]) -> list[tuple[str, str]]:
    return [(part.title, part.change) for part in parts]


def test_the_words_that_changed_are_marked() -> None:
    [same, block] = compare_texts("Hello.\nBe kind to them.", "Hello.\nBe very calm.", Effort())

    assert same.is_same
    assert texts(block.old) == ["kind to them"]
    assert texts(block.new) == ["very calm"]
    assert texts(block.new, is_changed=False) == ["Be ", "."]


@pytest.mark.parametrize(
    ("old", "new", "blocks"),
    [
        ("", "", ()),
        ("", "New", (Block((), (Span("New", True),)),)),
        ("Old\n", "", (Block((Span("Old\n", True),), ()),)),
        (
            *("a\nb", "a\n\nb"),
            (
                Block((Span("a"),), (Span("a"),), is_same=True),
                Block((), (Span("", True),)),
                Block((Span("b"),), (Span("b"),), is_same=True),
            ),
        ),
    ],
)
def test_lines_come_and_go(old: str, new: str, blocks: Any) -> None:
    assert compare_texts(old, new, Effort()) == blocks


def test_what_is_far_from_a_change_is_folded() -> None:
    lines = [f"line {number}" for number in range(30)]

    blocks = compare_texts("\n".join(lines), "\n".join([*lines, "end"]), Effort())

    assert [(block.line_count, block.is_folded) for block in blocks[:3]] == [
        *((3, False), (24, True), (3, False))
    ]


@given(LINES, LINES)
@example(["a", "b", "a"], ["b", "a", "b"])
@example(["d", "a", "c a"], ["c a", "d"])
def test_both_sides_are_told_in_full(old: list[str], new: list[str]) -> None:
    found = runs(old, new, Effort())

    assert [line for run in found for line in run.old] == old
    assert [line for run in found for line in run.new] == new
    assert all(run.old == run.new for run in found if run.is_same)
    kinds = [run.is_same for run in found]
    assert all(one != other for one, other in pairwise(kinds))


def _of_two_words(joint: str) -> tuple[str, str]:
    draw = random.Random(7)
    return joint.join(draw.choices("ab", k=100_000)), joint.join(draw.choices("ab", k=100_000))


def _every_other_word(joint: str) -> tuple[str, str]:
    numbers = range(8_000)
    old, new = ([str(n) if n % 2 else f"{side}{n}" for n in numbers] for side in "xy")
    return joint.join(old), joint.join(new)


@pytest.mark.parametrize("joint", ["\n", " "])
@pytest.mark.parametrize(
    ("texts_of", "is_coarse"), [(_of_two_words, True), (_every_other_word, False)]
)
def test_very_long_texts_take_no_longer_than_they_may(
    texts_of: Any, is_coarse: bool, joint: str
) -> None:
    old, new = texts_of(joint)
    effort = Effort()

    blocks = compare_texts(old, new, effort)

    assert blocks
    assert effort.steps >= 0
    assert effort.has_given_up is is_coarse


def test_one_word_of_a_very_long_line_is_found() -> None:
    old = "a b " * 50_000

    [block] = compare_texts(old + "c", "d " + old + "c", Effort())

    assert texts(block.new) == ["d "]


def test_messages_are_aligned() -> None:
    old = content(("system", "Be kind."), ("user", "Hi {{ name }}"), ("assistant", "Yes?"))
    new = content(("system", "Be calm."), ("user", "An example"), ("user", "Hi {{ name }}"))

    assert titles(compare(old, new))[:4] == [
        ("Message 1, system", "changed"),
        ("Message 2, user", "added"),
        ("Message 3, user", "unchanged"),
        ("Message 3, assistant", "removed"),
    ]


def test_every_part_of_a_version_is_compared() -> None:
    tool = Tool(function=FunctionDefinition(name="look_up", parameters={"type": "object"}))
    old = content(
        ("system", "Hi"),
        variables=(Variable("name"),),
        tools=(tool,),
        locales={"de": (MessageTemplate("system", "Hallo"),)},
    )
    new = content(
        ("system", "Hi"),
        variables=(Variable("name", required=False, default="Ada"),),
        settings=ModelSettings(temperature=0.5),
        output_schema=OutputSchema("answer", {"type": "object"}),
        locales={"de": (MessageTemplate("system", "Guten Tag"),)},
        default_locale="fr",
    )

    parts = compare(old, new)

    assert titles(parts) == [
        ("Message 1, system", "unchanged"),
        ("Variable name", "changed"),
        ("Settings", "added"),
        ("Tool look_up", "removed"),
        ("Output schema", "added"),
        ("Language of the messages", "changed"),
        ("de: message 1, system", "changed"),
    ]
    variables = parts[1].blocks
    assert texts(variables[1].old) == ["yes"]
    assert "no" in texts(variables[1].new)[0]
    assert "default: Ada" in variables[1].new[-1].text


def test_the_same_content_has_no_change() -> None:
    said = content(("system", "Hi"), settings=ModelSettings(temperature=0.5))

    assert {part.change for part in compare(said, said)} == {"unchanged"}
