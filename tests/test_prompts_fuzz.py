"""No template and no values reach files, sockets, the database, settings or a Python attribute."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.template.base import Lexer
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core.errors import AppError
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.engine import filling
from prompts.engine.filling import MAX_OUTPUT
from prompts.engine.lexing import LinearLexer
from prompts.engine.rendering import CompiledPrompt, compile_content
from prompts.engine.vocabulary import library
from prompts.errors import PromptContentInvalid, PromptRenderFailed

# No test here may use the database: pytest-django lets none in unless a test asks for it.

LEAK = "a value of Python's, not of the prompt's"
OUTSIDE = (
    "open",
    "import",
    "exec",
    "compile",
    "os.",
    "socket.",
    "subprocess.",
    "shutil.",
    "ctypes",
)
NAMES = ("x", "y", "z")
JSON_VARIABLES = tuple(Variable(name=name, type="json", required=False) for name in NAMES)


class Trap(str):
    """A text with attributes that no template may find."""

    __slots__ = ()
    secret = LEAK
    settings = settings

    def reveal(self) -> str:
        pytest.fail("a template has called a method")


class TrapList(list[Any]):
    secret = LEAK

    def reveal(self) -> str:
        pytest.fail("a template has called a method")


class TrapDict(dict[str, Any]):
    secret = LEAK

    def reveal(self) -> str:
        pytest.fail("a template has called a method")


watched: list[list[str]] = []  # where to write down what happens outside, while somebody watches


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if watched and event.startswith(OUTSIDE):
        watched[-1].append(f"{event} {arguments!r}")


sys.addaudithook(_audit)  # it stays: Python takes none away


@contextmanager
def locked_in() -> Iterator[None]:
    """Fail where the block opens, imports, runs or connects to anything."""
    seen: list[str] = []
    watched.append(seen)
    try:
        yield
    finally:
        watched.pop()
    assert seen == []


NONE: dict[str, Any] = {}


def prompt(template: str) -> CompiledPrompt:
    messages = (MessageTemplate(role="user", template=template),)
    return compile_content(PromptContent(messages=messages, variables=JSON_VARIABLES))


PARTS = {"part": prompt("[{{ x }}{{ y.secret }}{% for i in z %}{{ i }}{% endfor %}]")}


def written(template: str, values: dict[str, Any]) -> str:
    """Return the text of a template, or "" where template or values are refused properly."""
    try:
        compiled = prompt(template)
        if compiled.included - PARTS.keys():
            return ""  # such a prompt is not there
        messages = replace(compiled, parts=PARTS).render(values)
    except AppError:
        return ""
    return "".join(str(message.content) for message in messages)


@pytest.fixture(scope="module", autouse=True)
def warmed_up() -> None:
    """Have everything imported that Django imports at first use."""
    for name in sorted(library.filters):
        for argument in ("", ":1", ":'a'", ":x"):
            for value in ("ab", 1.5, ["a"], {"a": 1}):
                written(f"{{{{ y|{name}{argument} }}}}", {"x": "1", "y": value})
    written(
        "{% if x %}{% for a in x %}{% with b=a %}{{ b }}{% endwith %}{% endfor %}{% endif %}", {}
    )


STEPS = (
    *("a", "0", "1", "items", "secret", "reveal", "settings", "SECRET_KEY", "upper", "format"),
    *("keys", "pop", "copy", "real", "99999999999"),
)


def compiles(template: str) -> bool:
    try:
        prompt(template)
    except AppError:
        return False
    return True


# Each filter as it can be written; some take an argument, some do not, some may.
BARE = [name for name in sorted(library.filters) if compiles(f"{{{{ x|{name} }}}}")]
WITH_ARGUMENT = [name for name in sorted(library.filters) if compiles(f"{{{{ x|{name}:1 }}}}")]
paths = st.builds(
    lambda root, steps: ".".join((root, *steps)),
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(STEPS), max_size=3),
)
constants = st.sampled_from(
    ["1", "-1", "0", "1e9", "99999999999999999999", "'a'", '""', "'<>'", "'%s'", "'1:2'", "None"]
)
operands = st.one_of(paths, constants)
calls = st.one_of(
    st.sampled_from(BARE).map("|{}".format),
    st.builds("|{}:{}".format, st.sampled_from(WITH_ARGUMENT), operands),
)
expressions = st.builds(
    lambda operand, chain: operand + "".join(chain), operands, st.lists(calls, max_size=3)
)
hostile = st.sampled_from(
    [
        *("{% load static %}", "{% extends 'base.html' %}", "{% debug %}", "{% now 'Y' %}"),
        *("{% include '/etc/passwd' %}", "{% include '../../manage.py' %}", "{% include x %}"),
        *("{% include 'part' %}", "{% include 'part' with x=y z=1 %}", "{% include 'gone' only %}"),
        *("{% url 'admin:index' %}", "{% csrf_token %}", "{% ssi '/etc/passwd' %}", "{% lorem %}"),
        *("{% if %}", "{% endif %}", "{% for %}", "{% with %}", "{% include %}", "{% _('", "{{ }}"),
        *("{% if _('a %}{% endif %}", "{% for i in %}{% endfor %}", "{% templatetag x %}", "{%%}"),
        *("{% for i in x reversed %}{% empty %}{% endfor %}", "{% firstof x y %}", "{% cycle x %}"),
        *(
            "{% autoescape off %}",
            "{% filter upper %}",
            "{% regroup x by y as z %}",
            "{% spaceless %}",
        ),
        *("{% block a %}{% endblock %}", "{% trans 'a' %}", "{% get_current_language as x %}"),
        *(
            "{{ settings.SECRET_KEY }}",
            "{{ x.__class__.__mro__ }}",
            "{{ ''.__class__ }}",
            "{{ x() }}",
        ),
    ]
)
plain = st.text(alphabet="ab {}%'\"|.\n", max_size=8)
outputs = st.builds("{{{{ {} }}}}".format, expressions)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, expressions, inner, inner),
        st.builds("{{% if {} == {} %}}{}{{% endif %}}".format, operands, expressions, inner),
        st.builds("{{% for x in {} %}}{}{{% endfor %}}".format, expressions, inner),
        st.builds("{{% for x, y in {} %}}{}{{% endfor %}}".format, expressions, inner),
        st.builds("{{% with x={} %}}{}{{% endwith %}}".format, expressions, inner),
        st.builds("{{% comment %}}{}{{% endcomment %}}".format, inner),
        st.builds("{{% verbatim %}}{}{{% endverbatim %}}".format, inner),
        st.builds("{{% include 'part' with x={} %}}".format, expressions),
        st.builds("{}{}".format, inner, inner),
    )


proper = st.recursive(st.one_of(outputs, outputs, plain), nested, max_leaves=6)
# A hostile piece is mostly refused, and the whole with it; so most templates have none.
templates = st.one_of(proper, proper, st.builds("{}{}{}".format, proper, hostile, proper))
texts = st.one_of(st.text(max_size=10), st.sampled_from(["1e999999", "9" * 50, "%s", "{{ x }}"]))
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        texts.map(Trap),
        st.sampled_from([10**400, 1e308]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(TrapList),
        st.dictionaries(st.sampled_from(STEPS), inner, max_size=3).map(TrapDict),
    ),
    max_leaves=10,
)


def check(template: str, given_values: dict[str, Any]) -> None:
    with locked_in():
        text = written(template, given_values)

    assert type(text) is str
    assert len(text) <= MAX_OUTPUT
    for secret in (LEAK, settings.SECRET_KEY, os.environ["PATH"], " object at 0x", "<function"):
        assert secret not in text


@hypothesis_settings(deadline=None, max_examples=250)
@given(templates, st.fixed_dictionaries(dict.fromkeys(NAMES, values)))
@example("{{ x.secret }}{{ x.reveal }}{{ x.settings.SECRET_KEY }}", {"x": Trap("a")})
@example("{{ x.secret }}{{ x.reveal }}{{ x.0.secret }}", {"x": TrapList([Trap("a")])})
@example("{{ x.secret }}{{ x.reveal }}{{ x.pop }}", {"x": TrapDict()})
@example("{% if _('a %}{% endif %}", {})
@example("{{ x|floatformat:y }}", {"x": "1e999999", "y": 10})
@example("{{ x|divisibleby:y|slice:x|truncatechars:x }}", {"x": 10**400, "y": 0})
def test_no_template_and_no_values_reach_anything_outside(
    template: str, given_values: dict[str, Any]
) -> None:
    check(template, given_values)


@hypothesis_settings(deadline=None, max_examples=250)
@given(st.text(alphabet="{}%#|:.,_'\"()=<> \nxyif0", max_size=60))
@example("{% if " + "(" * 100 + "x %}{% endif %}")
def test_no_heap_of_signs_is_more_than_refused(template: str) -> None:
    check(template, {"x": "a", "y": [1], "z": {"a": 1}})


@given(st.text(alphabet="{}%# \nax", max_size=40))
@example("{% verbatim %}{{ x }}{% endverbatim %}{{ x }}")
@example("{{{%a%}}}{#{{a}}#}")
@example("{{ a\n}}{% a }}%}")
def test_templates_are_cut_as_django_cuts_them(template: str) -> None:
    def told(lexer: Lexer) -> list[tuple[Any, ...]]:
        return [(token.token_type, token.contents, token.lineno) for token in lexer.tokenize()]

    assert told(LinearLexer(template)) == told(Lexer(template))


@pytest.mark.parametrize("opening", ["{{", "{%", "{#", "{", "{{ a }", "{{% #}"])
def test_a_long_line_of_openings_is_read_in_no_time(opening: str) -> None:
    prompt("a" + opening * (200_000 // len(opening) - 1))  # Django's own lexer takes half an hour


TWICE = "{{% for a in x %}}{{% for b in x %}}{}{{% endfor %}}{{% endfor %}}"


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in x %}{% for b in x %}"
        + "{% if a %}{% endif %}" * 5000
        + "{% endfor %}{% endfor %}",
        "{% for a in x %}{% for b in x %}"
        + "{% templatetag openblock %}" * 50
        + "{% endfor %}{% endfor %}",
        "{{ y" + "|upper|lower" * 2000 + " }}",
        "{% for a in x %}{% include 'part' %}{% endfor %}" * 1000,
        "{% for a in x %}{{ y" + ".b" * 5000 + " }}{% endfor %}",
    ],
)
def test_work_without_end_is_stopped(template: str) -> None:
    whole = replace(prompt(template), parts=PARTS)

    with pytest.raises(PromptRenderFailed, match=r"as much work|than 2 seconds"):
        whole.render({"x": list(range(1000)), "y": "a" * 100_000, "z": list(range(10))})


def test_what_steps_do_not_tell_is_stopped_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(1000))
    monkeypatch.setattr(filling, "clock", lambda: next(moments))

    with pytest.raises(PromptRenderFailed, match="more than 2 seconds"):
        prompt("{% if x == y %}{% endif %}" * 100).render({"x": [1] * 100, "y": [1] * 100})


@pytest.mark.parametrize("filter_name", ["truncatechars:9", "slugify"])
def test_accents_without_end_are_cut_short_in_no_time(filter_name: str) -> None:
    hostile = "a" + "\u0316\u0301" * 250_000  # Django's own filters take half an hour

    [message] = prompt(f"{{{{ x|{filter_name} }}}}").render({"x": hostile})

    assert str(message.content).startswith("a")
    assert len(str(message.content)) < 10


def test_a_long_dictionary_taken_apart_again_and_again_is_stopped_by_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = iter(range(1000))
    monkeypatch.setattr(filling, "clock", lambda: next(moments))

    with pytest.raises(PromptRenderFailed, match="more than 2 seconds"):
        prompt("{{ x.items.0.0.a }}" * 100).render({"x": {"a": 1}})


def test_the_guard_itself_sees_what_happens_outside() -> None:
    with pytest.raises(AssertionError, match="open"), locked_in(), open(os.devnull):
        pass


def test_a_template_that_was_refused_says_why() -> None:
    with pytest.raises(PromptContentInvalid, match="line 2"):
        prompt("a\n{% load static %}")
