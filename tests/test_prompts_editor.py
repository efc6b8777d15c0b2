"""Staff write a version: all of it can be said, nothing is lost, and each mistake is marked."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.models import Organization, User
from llm.types import FunctionDefinition, Tool
from prompts import services
from prompts.content import (
    MessageTemplate,
    ModelSettings,
    OutputSchema,
    PromptContent,
    Role,
    Variable,
)
from prompts.engine.checking import EFFORTS, MAX_MESSAGES, MAX_VARIABLES
from prompts.models import LabelRule, Prompt, PromptVersion
from prompts.releases import services as releases
from tests.filled import Fields, fields_of

EVERYTHING = PromptContent(
    messages=(
        MessageTemplate("system", "\nSpeak {{ tone }}.\n\n  Indented, and a line at the end.\n"),
        MessageTemplate("developer", "{% if is_new %}Explain.{% endif %}"),
        MessageTemplate("user", "{{ tags|join:', ' }} {{ shape|json }} {{ count }} {{ name }}"),
    ),
    variables=(
        Variable("tone", type="choice", options=("calm", "lively"), required=False, default="calm"),
        Variable("is_new", type="boolean", required=False, default=False),
        Variable("tags", type="list", may_be_empty=False, max_length=3),
        Variable("shape", type="json", required=False, default={"a": [1, None, "ü"]}),
        Variable("count", type="number", required=False, default=0.5),
        Variable("name", required=False, default="", max_length=80),
        Variable("spare", required=False, default="two\nlines"),
        Variable("odd", type="choice", options=("a\nb", '["c', " d ")),
    ),
    settings=ModelSettings(0.0, 100, "fast", 0.25, ("\n\n", "END", " "), -5, "low"),
    tools=(
        Tool(FunctionDefinition("weather", "Tells it.", {"type": "object"}, strict=False)),
        Tool(FunctionDefinition("clock")),
    ),
    output_schema=OutputSchema("answer", {"type": "object", "title": "<ü>"}, strict=False),
    locales={
        "de": (MessageTemplate("system", "Sprich {{ tone }}."),),
        "zh-Hant": (MessageTemplate("user", "你好 {{ name }}"),),
    },
    default_locale="en-GB",
)

LARGE_NUMBER = PromptContent(
    messages=(MessageTemplate("system", "0"),),
    variables=(Variable("x", type="json", required=False, default=5.985852839735934e16),),
)


@pytest.fixture
def prompt(db: None) -> Prompt:
    organization = Organization.objects.create(name="Acme", slug="acme")
    return services.create_prompt(organization=organization, name="greeting")


@pytest.fixture
def boss(db: None, client: Client) -> User:
    user = User.objects.create_superuser("boss", first_name="Bo", last_name="Boss")
    client.force_login(user)
    return user


def page(prompt: Prompt, name: str = "add_version") -> str:
    return reverse(f"admin:prompts_prompt_{name}", args=[prompt.pk])


def opened(client: Client, prompt: Prompt, **asked: str) -> Fields:
    """Return the fields of the editor as they stand when it is opened."""
    return fields_of(client.get(page(prompt), asked).content.decode(), "editor")


def sent(client: Client, prompt: Prompt, fields: Fields, do: str = "save", **more: Any) -> str:
    """Press a button; return the page that comes."""
    form = {**fields, **{name.replace("__", "-"): value for name, value in more.items()}}
    return client.post(page(prompt), {**form, "do": do}, follow=True).content.decode()


def written(client: Client, prompt: Prompt, text: str, **more: Any) -> str:
    """Write a version of one message from scratch."""
    return sent(client, prompt, opened(client, prompt), l0__m0__template=text, **more)


def live(client: Client, prompt: Prompt, fields: Fields) -> dict[str, Any]:
    """Return what the page is told while somebody types."""
    answer: dict[str, Any] = client.post(page(prompt, "preview"), fields).json()
    return answer


def add(prompt: Prompt, content: PromptContent | str) -> PromptVersion:
    if isinstance(content, str):
        content = PromptContent(messages=(MessageTemplate("system", content),))
    return services.add_version(prompt=prompt, content=content)


# --- Nothing is lost -------------------------------------------------------------------------

words = st.text(
    st.characters(codec="utf-8", exclude_characters="\r{}%", exclude_categories=("Cc", "Cs")),
    min_size=1,
    max_size=20,
)
lines = st.lists(words, min_size=1, max_size=3).map("\n".join)
roles: st.SearchStrategy[Role] = st.sampled_from(("system", "developer", "user", "assistant"))
said = st.builds(MessageTemplate, roles, lines.filter(str.strip))
messages = st.lists(said, min_size=1, max_size=3).map(tuple)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**15), 10**15)
values = st.recursive(
    st.none() | st.booleans() | numbers | lines,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
options = st.lists(lines.filter(str.strip), min_size=1, max_size=3, unique=True).map(tuple)
longest = st.none() | st.integers(100, 1000)
variables = st.one_of(
    st.builds(Variable, st.just("x"), may_be_empty=st.booleans(), max_length=longest),
    st.builds(Variable, st.just("x"), required=st.just(False), default=st.none() | lines),
    st.builds(Variable, st.just("x"), st.just("number"), st.just(False), st.none() | numbers),
    st.builds(Variable, st.just("x"), st.just("boolean"), st.just(False), st.booleans()),
    st.builds(Variable, st.just("x"), st.just("json"), st.just(False), values),
    st.builds(Variable, st.just("x"), st.just("list"), st.just(False), st.lists(values)),
    st.builds(Variable, st.just("x"), st.just("choice"), options=options),
)
model_settings = st.builds(
    ModelSettings,
    temperature=st.none() | st.floats(0, 2),
    max_tokens=st.none() | st.integers(1, 2**31 - 1),
    model=st.none() | words.map(str.strip).filter(bool),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(lines, max_size=4).map(tuple),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    reasoning_effort=st.none() | st.sampled_from(EFFORTS),
)
contents = st.builds(
    PromptContent,
    messages=messages,
    variables=st.lists(variables, max_size=1).map(tuple),
    settings=model_settings,
    locales=st.dictionaries(st.sampled_from(("de", "fr-CA", "zh-Hant")), messages, max_size=2),
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=contents)
@example(content=EVERYTHING)
@example(content=LARGE_NUMBER)
def test_a_version_that_is_opened_and_saved_says_the_same(
    client: Client, boss: User, prompt: Prompt, content: PromptContent
) -> None:
    with transaction.atomic():
        first = add(prompt, content)
        first.refresh_from_db()  # the database may write a number otherwise
        add(prompt, f"In between {first.number}.")

        fields = opened(client, prompt, **{"from": str(first.number)})
        answered = client.post(page(prompt), fields)

        assert answered.status_code == 302, answered.content.decode()
        assert prompt.versions.newest_first()[0].content == first.content
        transaction.set_rollback(True)


def test_saving_without_a_change_is_told(client: Client, boss: User, prompt: Prompt) -> None:
    add(prompt, EVERYTHING)

    answered = sent(client, prompt, opened(client, prompt))

    assert "Nothing has changed since version 1." in answered
    assert prompt.versions.count() == 1


def test_a_version_as_large_as_they_get_can_be_saved(
    client: Client, boss: User, prompt: Prompt
) -> None:
    names = [f"v{number}" for number in range(MAX_VARIABLES)]
    many = tuple(MessageTemplate("user", f"Hello {number}.") for number in range(MAX_MESSAGES))
    add(
        prompt,
        PromptContent(
            messages=many,
            variables=tuple(Variable(name, required=False) for name in names),
            locales=dict.fromkeys(("de", "fr", "it"), many),
        ),
    )

    answered = sent(client, prompt, opened(client, prompt), settings__seed="1")

    assert "Version 2 is saved." in answered


# --- What is wrong ---------------------------------------------------------------------------

VARIABLE = {"variable": "v0", "v0-name": "x", "v0-type": "text", "v0-left_out": "required"}
WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "template": (
        {"l0-m0-template": "Hi\n{% if name %}"},
        "id_l0-m0-template",
        "Line 2: Unclosed tag",
    ),
    "nothing": ({"l0-m0-template": " "}, "id_l0-m0-template", "The prompt says nothing"),
    "role": ({"l0-m0-role": "pirate"}, "id_l0-m0-role", "Select a valid choice"),
    "include": (
        {"l0-m0-template": 'Hi\n\n{% include "gone" %}'},
        "id_l0-m0-template",
        "Line 3: there is no prompt “gone”",
    ),
    "name": ({**VARIABLE, "v0-name": "1x"}, "id_v0-name", "“1x” is not a name"),
    "choice": ({**VARIABLE, "v0-type": "choice"}, "id_v0-name", "is a choice: give it options"),
    "default": (
        {**VARIABLE, "v0-type": "json", "v0-left_out": "value", "v0-default": '{"a":\n]'},
        "id_v0-default",
        "Line 2: this is not JSON",
    ),
    "misfit": (
        {**VARIABLE, "v0-type": "number", "v0-left_out": "value", "v0-default": "true"},
        "id_v0-name",
        "The default of “x” must be a number.",
    ),
    "temperature": ({"settings-temperature": "9"}, "id_settings-temperature", "between 0 and 2"),
    "stop": ({"settings-stop": '["a", 1]'}, "id_settings-stop", "has texts only"),
    "tools": ({"tools-tools": "[\n{]"}, "id_tools-tools", "Line 2: this is not JSON"),
    "tool": ({"tools-tools": "[{}]"}, "id_tools-tools", "missing required field “function”"),
    "tool field": (
        {"tools-tools": '[{"function": {"name": "a", "colour": 1}}]'},
        "id_tools-tools",
        "A tool has no “colour”.",
    ),
    "schema": (
        {"schema-schema": '{"type": "thing"}'},
        "id_schema-schema",
        "is no JSON schema",
    ),
    "schema list": ({"schema-schema": "[]"}, "id_schema-schema", "A schema is a JSON object"),
    "schema name": ({"schema-name": "answer"}, "id_schema-schema", "Write the schema"),
    "tag": ({"l0-tag": "klingon!"}, "id_l0-tag", "is not a language"),
    "variant": (
        {"language": ["l0", "l1"], "l1-tag": "de", "l1-message": "l1-m0", "l1-m0-role": "user"},
        "id_l1-m0-template",
        "The prompt in de says nothing",
    ),
    "twice": (
        {
            **{"language": ["l0", "l1", "l2"], "l1-tag": "de", "l2-tag": "DE"},
            **{"l1-message": "l1-m0", "l1-m0-role": "user", "l1-m0-template": "Hallo"},
        },
        "id_l2-tag",
        "The language “de” is there already.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_lost(
    client: Client, boss: User, prompt: Prompt, case: str
) -> None:
    changes, field, text = WRONG[case]
    fields = {**opened(client, prompt), "l0-m0-template": ["Hello."], **changes}

    answered = sent(client, prompt, fields, version__note="my note")

    assert not prompt.versions.exists()
    assert text in answered
    summary, beside = f'<a href="#{field}">', f'id="{field}_error"'
    assert summary in answered
    assert beside in answered
    assert answered.count("autofocus") == 1
    assert any(text in one for one in live(client, prompt, fields)["mistakes"][field])
    kept = fields_of(answered, "editor")
    assert kept["version-note"] == ["my note"]
    for name, value in changes.items():
        if name != "l0-m0-role":
            assert "\n".join(kept[name]).replace("\r\n", "\n") == "\n".join(
                [value] if isinstance(value, str) else value
            )


def test_all_that_is_wrong_is_said_at_once(client: Client, boss: User, prompt: Prompt) -> None:
    answered = written(client, prompt, "{% if %}", settings__top_p="7", tools__tools="{")

    assert "3 things are wrong" in answered


# --- What the buttons do -----------------------------------------------------------------------


def pressed(client: Client, prompt: Prompt, fields: Fields, do: str) -> Fields:
    return fields_of(sent(client, prompt, fields, do), "editor")


def test_messages_are_added_moved_and_removed(client: Client, boss: User, prompt: Prompt) -> None:
    fields = {**opened(client, prompt), "l0-m0-template": ["First"]}

    fields = pressed(client, prompt, fields, "add-message l0")
    fields["l0-m1-template"] = ["Second"]
    fields = pressed(client, prompt, fields, "up l0-m1")

    assert fields["l0-message"] == ["l0-m1", "l0-m0"]
    assert fields["l0-m0-template"] == ["First"]
    assert fields["l0-m1-role"] == ["user"]
    assert pressed(client, prompt, fields, "down l0-m1")["l0-message"] == ["l0-m0", "l0-m1"]
    assert pressed(client, prompt, fields, "up l0-m1")["l0-message"] == ["l0-m1", "l0-m0"]
    assert pressed(client, prompt, fields, "remove-message l0-m1")["l0-message"] == ["l0-m0"]
    assert not prompt.versions.exists()


def test_variables_are_added_and_removed(client: Client, boss: User, prompt: Prompt) -> None:
    fields = pressed(client, prompt, opened(client, prompt), "add-variable")
    fields = pressed(client, prompt, fields, "add-variable")
    first, second = fields["variable"]
    fields[f"{second}-name"] = ["kept"]

    fields = pressed(client, prompt, fields, f"remove-variable {first}")

    assert fields["variable"] == [second]
    assert fields[f"{second}-name"] == ["kept"]


def test_an_empty_row_counts_for_nothing(client: Client, boss: User, prompt: Prompt) -> None:
    fields = pressed(client, prompt, opened(client, prompt), "add-variable")
    fields = pressed(client, prompt, fields, "add-message l0")

    sent(client, prompt, fields, l0__m0__template="Hello.")

    assert prompt.versions.get().content == PromptContent(
        messages=(MessageTemplate("system", "Hello."),)
    )


def test_a_language_starts_from_the_first_one(client: Client, boss: User, prompt: Prompt) -> None:
    add(
        prompt,
        PromptContent(messages=(MessageTemplate("system", "Hello."), MessageTemplate("user", "?"))),
    )
    fields = pressed(client, prompt, opened(client, prompt), "add-language")
    fields |= {"l1-tag": ["de-at"], "l1-m0-template": ["Hallo."]}
    assert "1 of 2 messages are written." in sent(client, prompt, fields, "add-variable")

    fields = pressed(client, prompt, fields, "copy l1")
    assert fields["l1-m0-template"] == ["Hallo."]
    assert fields["l1-m1-template"] == ["?"]
    sent(client, prompt, fields)

    newest = prompt.versions.newest_first()[0].content
    assert [message.template for message in newest.locales["de-AT"]] == ["Hallo.", "?"]
    gone = pressed(client, prompt, opened(client, prompt), "remove-language l1")
    assert gone["language"] == ["l0"]


# --- Preview ---------------------------------------------------------------------------------


def test_the_preview_says_what_a_model_would_be_sent(
    client: Client, boss: User, prompt: Prompt
) -> None:
    add(prompt, EVERYTHING)

    answer = live(
        client,
        prompt,
        {**opened(client, prompt), "sample-tags": ["a\r\nb"], "sample-is_new": ["true"]},
    )

    assert answer["mistakes"] == {}
    assert "Explain." in answer["result"]
    assert "a, b {&quot;a&quot;: [1, null, &quot;ü&quot;]} 0.5" in answer["result"]
    assert answer["said"].startswith("The preview has 3 messages")
    german = live(client, prompt, {**opened(client, prompt), "preview-locale": ["de"]})
    assert "Sprich calm." in german["result"]


def test_variables_of_the_text_are_found(client: Client, boss: User, prompt: Prompt) -> None:
    fields = {**opened(client, prompt), "l0-m0-template": ["{{ name }} of {{ organization }}"]}

    answer = live(client, prompt, fields)

    assert answer["used"] == ["name", "organization"]
    assert [row.count('data-found="name"') for row in answer["found"]] == [1, 0]
    assert "[name] of Acme" in answer["result"]
    listed = fields_of(sent(client, prompt, fields, "preview"), "editor")
    assert listed["variable"] == ["v-name", "v-organization"]
    assert listed["sample-name"] == [""]


def test_values_that_callers_send_anyway_are_filled_in(
    client: Client, boss: User, prompt: Prompt
) -> None:
    fields = {
        **opened(client, prompt),
        "l0-m0-template": ["{{ user_name }} {{ organization }} {{ today }}"],
    }

    shown = live(client, prompt, fields)["result"]

    assert "Bo Boss Acme 20" in shown


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"l0-m0-template": ["a\n{{ x|nothing }}"]}, "id_l0-m0-template", "Line 2: "),
        ({"sample-shape": ["{"]}, "id_sample-shape", "Line 1: this is not JSON"),
    ],
)
def test_mistakes_are_told_while_somebody_types(
    client: Client, boss: User, prompt: Prompt, changes: Fields, field: str, text: str
) -> None:
    add(prompt, EVERYTHING)

    answer = live(client, prompt, {**opened(client, prompt), **changes})

    assert answer["mistakes"][field][0].startswith(text)
    assert answer["said"].startswith("No preview: ")


def test_values_that_do_not_fit_are_told(client: Client, boss: User, prompt: Prompt) -> None:
    add(prompt, EVERYTHING)

    answer = live(client, prompt, {**opened(client, prompt), "sample-tags": ['["a","b","c","d"]']})

    assert "tags has at most 3 items" in answer["said"]


def test_what_includes_what_is_shown(client: Client, boss: User, prompt: Prompt) -> None:
    rules = services.create_prompt(organization=prompt.organization, name="rules")
    variable = Variable("country", required=True)
    services.add_version(
        prompt=rules,
        content=PromptContent(
            messages=(MessageTemplate("system", "Obey {{ country }}."),), variables=(variable,)
        ),
    )
    releases.move_label(prompt=rules, number=1)
    add(prompt, "{% include 'rules' %}")
    releases.move_label(prompt=prompt, number=1)

    answer = live(client, prompt, opened(client, prompt))

    assert "<strong>rules</strong>, and so takes <code>country</code> as well" in answer["includes"]
    assert "Obey [country]." in answer["result"]
    assert ">greeting</a> (production)" in client.get(page(rules)).content.decode()


@pytest.mark.parametrize("quote", ["'", '"'])
def test_only_real_includes_count(client: Client, boss: User, prompt: Prompt, quote: str) -> None:
    add(prompt, "Hello.")
    releases.move_label(prompt=prompt, number=1)
    for name, text in (
        ("mentions", f"Say {quote}greeting{quote}."),
        ("includes", f"{{% include {quote}greeting{quote} %}}"),
    ):
        other = services.create_prompt(organization=prompt.organization, name=name)
        add(other, text)
        releases.move_label(prompt=other, number=1)

    shown = client.get(page(prompt)).content.decode()

    assert ">includes</a> (production)" in shown
    assert ">mentions</a>" not in shown


def test_the_preview_needs_the_right_to_write(client: Client, prompt: Prompt) -> None:
    user = User.objects.create(username="limited", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_prompt"))
    client.force_login(user)

    assert client.post(page(prompt, "preview")).status_code == 403
    assert client.get(page(prompt)).status_code == 403


def test_the_preview_is_asked_with_post_and_a_token(boss: User, prompt: Prompt) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(boss)

    assert careful.get(page(prompt, "preview")).status_code == 405
    assert careful.post(page(prompt, "preview")).status_code == 403


def test_the_preview_takes_no_more_than_a_page_may_send(
    client: Client, boss: User, prompt: Prompt
) -> None:
    fields = {**opened(client, prompt), "l0-m0-template": ["x" * 3_000_000]}

    assert client.post(page(prompt, "preview"), fields).status_code == 400


# --- Saving ------------------------------------------------------------------------------------


def test_a_text_is_enough_and_its_variables_are_found(
    client: Client, boss: User, prompt: Prompt
) -> None:
    text = "Greet {{ name }}\r\nin {{ place }}."

    answered = written(client, prompt, text, do="publish", version__note="start")

    version = prompt.versions.get()
    assert version.content == PromptContent(
        messages=(MessageTemplate("system", "Greet {{ name }}\nin {{ place }}."),),
        variables=(Variable("name"), Variable("place")),
    )
    assert (version.author, version.note) == (boss, "start")
    assert prompt.labels.get(name="production").version == version
    assert "Version 1 is now “production”." in answered
    assert "Callers must send what the text newly asks for: name, place." in answered


def test_a_protected_label_is_proposed(client: Client, boss: User, prompt: Prompt) -> None:
    LabelRule.objects.create(organization=prompt.organization, needs_second_person=True)
    assert "Save and propose for production" in client.get(page(prompt)).content.decode()

    answered = written(client, prompt, "Hello.", do="publish")

    assert "Another of the staff has to confirm it." in answered
    assert not prompt.labels.exists()


def test_who_may_write_but_not_publish_saves_only(client: Client, prompt: Prompt) -> None:
    user = User.objects.create(username="limited", is_staff=True)
    rights = ("view_prompt", "add_promptversion")
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(user)
    fields = {**opened(client, prompt), "l0-m0-template": ["Hello."]}

    assert "Save and make production" not in client.get(page(prompt)).content.decode()
    assert client.post(page(prompt), {**fields, "do": "publish"}).status_code == 403
    assert not prompt.versions.exists()
    sent(client, prompt, fields)
    assert prompt.versions.count() == 1


def test_two_people_who_write_at_once_are_told(client: Client, boss: User, prompt: Prompt) -> None:
    add(prompt, "First.")
    fields = {**opened(client, prompt), "l0-m0-template": ["Mine."]}
    services.add_version(
        prompt=prompt,
        content=PromptContent(messages=(MessageTemplate("system", "Theirs."),)),
        note="Theirs is better",
        author=boss,
    )

    warned = sent(client, prompt, fields)

    assert "saved version 2 while you were writing (“Theirs is better”)" in warned
    assert f"{page(prompt, 'diff')}?from=1&amp;to=2" in warned
    assert prompt.versions.count() == 2
    again = fields_of(warned, "editor")
    assert again["l0-m0-template"] == ["Mine."]
    assert "Version 3 is saved." in sent(client, prompt, again)


def test_the_editor_starts_from_the_version_asked_for(
    client: Client, boss: User, prompt: Prompt
) -> None:
    add(prompt, "First.")
    add(prompt, "Second.")

    assert opened(client, prompt)["l0-m0-template"] == ["Second."]
    assert opened(client, prompt, **{"from": "1"})["l0-m0-template"] == ["First."]
    assert client.get(page(prompt), {"from": "9"}).status_code == 404


@pytest.mark.parametrize("fields", [{}, {"language": "x!"}, {"variable": ["a"] * 5}])
def test_a_form_that_is_no_form_of_ours_is_no_error_of_ours(
    client: Client, boss: User, prompt: Prompt, fields: dict[str, Any]
) -> None:
    for do in ("save", "preview", "up", "copy l9", "add-message", "remove-language l0"):
        assert client.post(page(prompt), {**fields, "do": do}).status_code == 200
    assert client.post(page(prompt, "preview"), fields).status_code == 200
    assert not prompt.versions.exists()


def test_a_tool_may_be_as_long_as_people_write_it(
    client: Client, boss: User, prompt: Prompt
) -> None:
    tools = json.dumps([{"type": "function", "function": {"name": "clock"}}], indent=4)

    written(client, prompt, "Hello.", tools__tools=tools)

    assert prompt.versions.get().content.tools == (Tool(FunctionDefinition("clock")),)
