"""A template writes what its values say, and reaches nothing else."""

import threading
from typing import Any

import pytest
from django.utils import translation

from llm.types import PromptCache
from prompts.content import MessageTemplate, PromptContent, Variable, VariableType
from prompts.engine import filling
from prompts.engine.rendering import CompiledPrompt, compile_content
from prompts.errors import PromptContentInvalid, PromptRenderFailed, PromptVariablesInvalid
from prompts.labelled import Labelled


def compiled(text: str, *variables: Variable) -> CompiledPrompt:
    messages = (MessageTemplate(role="system", template=text),)
    return compile_content(PromptContent(messages=messages, variables=variables))


def text(template: str, **values: Any) -> str:
    declared = [Variable(name=name, type="json") for name in values]
    messages = compiled(template, *declared).render(values)
    return str(messages[0].content) if messages else ""


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("<b>{{ x }}</b> & {{ x }}", {"x": "<i>"}, "<b><i></b> & <i>"),
        ("{{ user.name }}, {{ tags.1 }}", {"user": {"name": "Ada"}, "tags": ["a", "b"]}, "Ada, b"),
        ("{% for t in tags %}{{ forloop.counter }}{{ t }} {% endfor %}", {"tags": ["a"]}, "1a "),
        ("{% for k, v in d.items %}{{ k }}={{ v }}{% endfor %}", {"d": {"a": 1}}, "a=1"),
        ("{% with y=x|upper %}{{ y }}{% endwith %}", {"x": "a"}, "A"),
        ("{% if x and x.y > 1 %}yes{% else %}no{% endif %}", {"x": {"y": 2}}, "yes"),
        ("{{ x|json }}", {"x": {"é": [1, None]}}, '{"é": [1, null]}'),
        ("{{ x|join:', ' }}", {"x": ["a", 1]}, "a, 1"),
        ("{{ x|floatformat:1 }} {{ x }}", {"x": 1234.56}, "1234.6 1234.56"),
        ("[{{ x.missing }}{{ x.missing|default:'-' }}]", {"x": {}}, "[-]"),
        ("{% verbatim %}{{ x }}{% endverbatim %}{{ x }}", {"x": 1}, "{{ x }}1"),
        ("{% comment %}{{ hidden }}{% endcomment %}{# also #}{{ x }}", {"x": 1}, "1"),
        ("  {{ x }}\n", {"x": None}, ""),
        ("{{ x|slugify }}", {"x": " Ünïcödé, ﬁne: 1_2 "}, "unicode-fine-1_2"),
        ("{{ x|truncatechars:4 }}|{{ x|truncatechars:5 }}", {"x": "Größe"}, "Grö…|Größe"),
        (
            "{{ x|truncatechars:1 }}|{{ x|truncatechars:0 }}|{{ x|truncatechars:-1 }}",
            {"x": "ab"},
            "…||",
        ),
        ("{% with a=x %}{% with a=a %}{{ a }}{% endwith %}{{ a }}{% endwith %}", {"x": 1}, "11"),
    ],
)
def test_templates_write_what_their_values_say(
    template: str, values: dict[str, Any], expected: str
) -> None:
    assert text(template, **values) == expected


def test_a_prompt_reads_the_same_whoever_looks() -> None:
    with translation.override("de"):
        assert text("{{ x|floatformat:2 }} {{ y|yesno }} {{ x }}", x=0.5, y=True) == "0.50 yes 0.5"


def test_what_is_written_is_a_plain_string() -> None:
    (message,) = compiled("{{ x }}", Variable(name="x")).render({"x": "a"})

    assert type(message.content) is str


@pytest.mark.parametrize(
    "template",
    [
        "{% load static %}",
        "{% include 'secret.html' %}",
        "{% include x %}",
        "{% include '/etc/passwd' %}",
        "{% include '../secret' %}",
        "{{ _('text') }}",
        "{{ x|default:_('text') }}",
        '{% if _("a %}{% endif %}',
        "{% extends 'base.html' %}",
        "{% debug %}",
        "{% url 'admin:index' %}",
        "{% now 'Y' %}",
        "{% csrf_token %}",
        "{{ x|safe }}",
        "{{ x|pprint }}",
        "{{ x|ljust:999999999 }}",
        "{{ x.__class__ }}",
        "{{ x._private }}",
        "{{ _x }}",
        "{{ x|default:x.__class__ }}",
        "{% if x.__class__ %}{% endif %}",
        "{% for a in x.__dict__ %}{% endfor %}",
        "{% with y=x.__init__ %}{% endwith %}",
    ],
)
def test_what_reaches_outside_is_refused(template: str) -> None:
    with pytest.raises(PromptContentInvalid, match="Message 1, line 1: "):
        compiled(template, Variable(name="x"))


@pytest.mark.parametrize(
    "path", ["upper", "encode", "format", "join", "pop", "clear", "real", "copy"]
)
@pytest.mark.parametrize("value", ["text", ["item"], {"key": 1}, 3])
def test_values_have_no_methods(path: str, value: Any) -> None:
    assert text(f"[{{{{ x.{path} }}}}]", x=value) == "[]"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("Hi\n{{ x", None),  # not a tag, so it is text
        ("Hi\n\n{% if x %}", "Message 1, line 3: Unclosed tag on line 3: 'if'"),
        ("{{ " + "9" * 5000 + " }}", "line 1: the variable “999"),
        ("Hi\n{{ }}", "Message 1, line 2: Empty variable tag"),
        ("Hi\n{{ x|shout }}", "Message 1, line 2: there is no filter “shout”. There are: "),
        (
            "Hi\n{% shout %}",
            "Message 1, line 2: “shout” cannot be used here. The tags are: ",
        ),
        ("Hi\n{{ y }} {{ y }}", "Message 1, line 2: the variable “y” is not declared."),
        ("{% for i in x %}{% endfor %}\n{{ i }}", "line 2: the variable “i” is not declared."),
        ("{% with i=x %}{% endwith %}{{ i }}", "line 1: the variable “i” is not declared."),
        ("{{ x|default:y }}", "line 1: the variable “y” is not declared."),
        ("{% if x %}" * 60 + "{% endif %}" * 60, "nested more than 50 deep"),
        ("{% if " + "not " * 50_000 + "x %}{% endif %}", "an expression is too long"),
        ("", "The prompt says nothing"),
        ("x" * 200_001, "Message 1: it is longer than 200,000 characters"),
    ],
)
def test_a_wrong_template_is_told_with_its_message_and_line(
    template: str, problem: str | None
) -> None:
    if problem is None:
        compiled(template, Variable(name="x"))
        return

    with pytest.raises(PromptContentInvalid) as caught:
        compiled(template, Variable(name="x"))

    assert problem in caught.value.message


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("text", ["", "é"], [1, None, ["a"], b"bytes", "half \ud800"]),
        ("number", [0, 1.5], ["1", True, None, float("nan"), float("inf")]),
        ("boolean", [True, False], [1, "true", None]),
        ("list", [[], [1, {"a": None}]], [{}, "a", (1,), [object()]]),
        ("json", [None, {"a": [1]}, "text", 1], [object(), {1: "a"}, print, {"a": {1, 2}}]),
    ],
)
def test_types_are_strict(kind: VariableType, good: list[Any], bad: list[Any]) -> None:
    prompt = compiled("{{ x|json }}", Variable(name="x", type=kind))

    for value in good:
        prompt.render({"x": value})
    for value in bad:
        with pytest.raises(PromptVariablesInvalid):
            prompt.render({"x": value})


def test_what_is_nested_without_end_is_no_json_value() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(PromptVariablesInvalid):
        text("{{ x }}", x=endless)


def test_an_optional_variable_has_its_default_or_is_empty() -> None:
    prompt = compiled(
        "{{ tone }}{{ extra }}!",
        Variable(name="tone", required=False, default="calm"),
        Variable(name="extra", required=False),
    )

    assert [message.content for message in prompt.render({})] == ["calm!"]


def test_a_message_that_turns_out_blank_is_left_out() -> None:
    content = PromptContent(
        messages=(
            MessageTemplate(role="system", template="{% if x %}{{ x }}{% endif %}\n"),
            MessageTemplate(role="user", template="Hello"),
        ),
        variables=(Variable(name="x", required=False),),
    )

    assert [message.role for message in compile_content(content).render({})] == ["user"]


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in x %}{% for b in x %}{% for c in x %}.{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in x %}{{ x }}{% endfor %}",
    ],
)
def test_a_prompt_that_grows_without_measure_is_cut_short(template: str) -> None:
    with pytest.raises(PromptRenderFailed, match="longer than"):
        text(template, x=["x" * 10] * 500)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ x|divisibleby:0 }}", 1),
        ("{{ x|divisibleby:x }}", "a"),
        ("{% for a, b in x %}{% endfor %}", [[1]]),
        ("{% for y in y %}{% endfor %}", 1),
        ("{{ x|floatformat:999999 }}", 1.5),
        ("{{ x|join:x }}", "y" * 30),
    ],
)
def test_a_value_that_does_not_suit_the_template_is_told(template: str, value: Any) -> None:
    with pytest.raises(PromptRenderFailed) as caught:
        text(template, x=value)

    assert caught.value.http_status == 400


@pytest.mark.parametrize(
    "template",
    [
        "{{ x" + "|json" * 40 + " }}",
        "{{ x" + "|join:'12345678901234567890'" * 40 + " }}",
    ],
)
def test_filters_upon_filters_do_not_fill_the_memory(template: str) -> None:
    with pytest.raises(PromptRenderFailed, match="too long"):
        text(template, x='a "word"')


@pytest.mark.parametrize("value", [["a"], {"a": "b"}, "a" * 10_000])
async def test_nobody_else_waits_while_long_values_are_written(
    monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    threads: list[int] = []

    def clock() -> float:
        threads.append(threading.get_ident())
        return 0.0

    monkeypatch.setattr(filling, "clock", clock)
    whole = compiled("{{ x }}", Variable(name="x", type="json"))
    asked_for = Labelled(1, "Acme", "greeting", 1, whole, PromptCache())

    await asked_for.rendered({"x": "short"}, {})
    assert set(threads) == {threading.get_ident()}
    threads.clear()
    await asked_for.rendered({"x": value}, {})

    assert threading.get_ident() not in threads
