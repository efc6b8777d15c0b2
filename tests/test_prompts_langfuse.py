"""Prompts that Langfuse has exported, in Parley's words."""

import json
from typing import Any

import pytest

from accounts.models import Organization
from prompts import services
from prompts.content import Variable
from prompts.files import langfuse_parts
from prompts.files.errors import ImportInvalid
from prompts.files.importing import Outcome
from prompts.models import Prompt, PromptVersion
from tests.prompt_files_support import bring, plan

pytestmark = pytest.mark.django_db

TEXT = {
    "id": "cm1",
    "projectId": "p",
    "name": "movie-critic",
    "type": "text",
    "prompt": "As a {{criticLevel}} critic, do you like {{ movie }}?",
    "config": {"model": "gpt-4o", "temperature": 0.5, "supported_languages": ["en", "fr"]},
    "version": 1,
    "labels": ["production", "latest"],
    "tags": ["movies"],
    "commitMessage": "First",
}
CHAT = {
    "name": "support/First Line",
    "type": "chat",
    "prompt": [
        {"type": "chatmessage", "role": "system", "content": "Be kind. {{_tone}}"},
        {"role": "user", "content": "{{question}}"},
        {"type": "placeholder", "name": "history"},
    ],
    "config": {
        "maxTokens": 100,
        "top_p": 0.9,
        "stop": "END",
        "seed": 7,
        "tools": [
            {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
    },
    "version": 3,
    "labels": ["Team A", "staging"],
    "tags": [],
}


@pytest.fixture
def acme(db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


def take(organization: Organization, value: Any, **how: str) -> Outcome:
    return bring(organization, {"export.json": json.dumps(value)}, **how)


def notes(outcome: Outcome) -> str:
    return "\n".join(note.text for note in outcome.notes)


def test_a_text_comes_over_with_its_variables_label_and_settings(acme: Organization) -> None:
    outcome = take(acme, [TEXT])

    version = PromptVersion.objects.get()
    assert version.note == "First"
    assert version.content.messages[0].template == (
        "As a {{ criticLevel }} critic, do you like {{ movie }}?"
    )
    assert version.content.variables == (Variable("criticLevel"), Variable("movie"))
    assert (version.content.settings.model, version.content.settings.temperature) == (
        *("gpt-4o", 0.5),
    )
    labels = Prompt.objects.get(name="movie-critic").labels.values_list("name", flat=True)
    assert list(labels) == ["production"]
    assert "`supported_languages` of the config cannot be taken over." in notes(outcome)
    assert "Prompts have no tags here: movies." in notes(outcome)
    rendered = services.render(
        organization_id=acme.pk,
        name="movie-critic",
        variables={"criticLevel": "kind", "movie": "Alien"},
    )
    assert rendered.messages[0].content == "As a kind critic, do you like Alien?"


def test_a_chat_comes_over_with_tools_and_schema(acme: Organization) -> None:
    outcome = take(acme, CHAT)

    content = PromptVersion.objects.get().content
    assert [message.template for message in content.messages] == [
        *("Be kind. {{ v_tone }}", "{{ question }}"),
    ]
    assert content.settings.max_tokens == 100
    assert (content.settings.stop, content.settings.seed) == (("END",), 7)
    assert content.tools[0].function.name == "look_up"
    assert content.output_schema is not None
    prompt = Prompt.objects.get(name="support-First-Line")
    assert prompt.description == "support/First Line"
    assert set(prompt.labels.values_list("name", flat=True)) == {"staging", "team-a"}
    for text in ("is called “support-First-Line”", "is called “v_tone”", "is called “team-a”"):
        assert text in notes(outcome)
    assert "placeholder" not in notes(outcome)  # at the end, messages of the call come anyway


def test_all_versions_come_in_their_order_and_twice_changes_nothing(acme: Organization) -> None:
    history = [
        {**TEXT, "version": 2, "prompt": "Two", "labels": ["production"]},
        {**TEXT, "version": 1, "prompt": "One", "labels": []},
        {**TEXT, "version": 4, "prompt": "One", "labels": ["latest"]},
    ]

    take(acme, history)

    versions = PromptVersion.objects.order_by("number")
    assert [one.messages[0]["template"] for one in versions] == ["One", "Two", "One"]
    assert Prompt.objects.get().labels.get().version.number == 2
    assert not plan(acme, {"export.json": json.dumps(history)}).changed


def test_one_prompt_within_another_is_included(acme: Organization) -> None:
    inner = {**TEXT, "name": "house rules", "prompt": "Be brief.", "config": None}
    outer = {
        **TEXT,
        "prompt": "@@@langfusePrompt:name=house rules|label=production@@@ Hello. "
        "@@@langfusePrompt:name=house rules|version=1@@@",
    }

    outcome = take(acme, {"data": [outer, inner]})

    rendered = services.render(organization_id=acme.pk, name="movie-critic")
    assert rendered.messages[0].content == "Be brief. Hello. Be brief."
    assert "as its label has it, not as version 1" in notes(outcome)


@pytest.mark.parametrize(
    "text",
    [
        "{{#if x}}yes{{/if}}",
        "{% load x %} {# no comment #}",
        "{{ user.name }} {{ a b }} {{}}",
        "{{{ {{{{ {%{{ }}}} %}",
        'a {"json": {"b": 1}} {',
        "@@@langfusePrompt:nothing@@@",
    ],
)
def test_what_is_no_variable_in_langfuse_stays_text(acme: Organization, text: str) -> None:
    take(acme, [{**TEXT, "prompt": text}])

    rendered = services.render(organization_id=acme.pk, name="movie-critic")
    assert rendered.messages[0].content == text


@pytest.mark.parametrize("around", ["{%s}", "{{%s}", "{{{%s}}}", "{%%%s%%}", "{#%s#}", "a{%s"])
def test_braces_around_a_variable_stay_as_they_are(acme: Organization, around: str) -> None:
    take(acme, [{**TEXT, "prompt": around % "{{x}}"}])

    variables = {"x": "value"}
    rendered = services.render(organization_id=acme.pk, name="movie-critic", variables=variables)
    assert rendered.messages[0].content == around % "value"


@pytest.mark.parametrize(
    ("config", "lost"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 9}, "temperature"),
        ({"tools": [{"type": "retrieval"}]}, "tools"),
        ({"tools": "none"}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": "x"}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": []}}, "response_format"),
        ({"stop": [1]}, "stop"),
        (["a"], "config"),
    ],
)
def test_what_does_not_fit_is_told(acme: Organization, config: Any, lost: str) -> None:
    outcome = take(acme, [{**TEXT, "config": config}])

    assert lost in notes(outcome)
    assert PromptVersion.objects.get().settings == {}


def test_messages_that_do_not_fit_are_told(acme: Organization) -> None:
    messages = [
        {"type": "placeholder", "name": "examples"},
        {"role": "tool", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "x"}]},
        {"role": "user", "content": "Hello"},
    ]

    outcome = take(acme, [{**TEXT, "prompt": messages}])

    assert len(PromptVersion.objects.get().messages) == 1
    assert "The placeholder “examples” stands before other messages" in notes(outcome)
    assert "Message 2 is left out" in notes(outcome)
    assert "Message 3 is left out" in notes(outcome)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "5",
        '{"data": 5}',
        '[{"name": "x"}]',
        '[{"name": "///", "prompt": "x"}]',
        '[{"name": "a b", "prompt": "x"}, {"name": "a/b", "prompt": "y"}]',
        '[{"name": "a", "prompt": "x", "version": 1}, {"name": "a", "prompt": "y", "version": 1}]',
        '[{"name": "a", "prompt": "x", "version": -1}]',
        '[{"name": "a", "prompt": "zero \\u0000"}]',
        '[{"name": "a", "prompt": ""}]',
        "[" * 100_000,
        '["\\ud800"]',
    ],
)
def test_what_is_no_export_is_refused(acme: Organization, text: str) -> None:
    with pytest.raises(ImportInvalid) as refused:
        bring(acme, {"export.json": text})

    assert refused.value.problems[0].file == "export.json"
    assert not Prompt.objects.exists()


def test_a_setting_is_known_by_each_of_its_names() -> None:
    assert set(langfuse_parts.SETTINGS.values()) == set(langfuse_parts.TYPES)
