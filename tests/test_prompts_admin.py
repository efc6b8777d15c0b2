"""Staff write, publish and take back versions in the admin."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from prompts import services
from prompts.content import MessageTemplate, ModelSettings, PromptContent, Variable
from prompts.models import Prompt, PromptVersion
from prompts.releases import services as releases


@pytest.fixture
def prompt(db: None) -> Prompt:
    organization = Organization.objects.create(name="Acme", slug="acme")
    return services.create_prompt(organization=organization, name="greeting")


@pytest.fixture
def boss(db: None, client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


def sign_in_with(client: Client, *permissions: str) -> None:
    user = User.objects.create(username="limited", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:prompts_{name}", args=args)


def filled(*messages: tuple[str, str], variables: Any = (), **more: Any) -> dict[str, Any]:
    """Return what the browser sends: the rows that were there, then two empty ones."""
    rows = [{"role": role, "template": text} for role, text in messages]
    empty = {"name": "", "type": "text", "required": "on", "default": ""}
    form: dict[str, Any] = {"temperature": "", "max_tokens": "", "note": "", **more}
    for prefix, kept, blank in (
        ("messages", rows, {"role": "user", "template": ""}),
        ("variables", list(variables), empty),
    ):
        form[f"{prefix}-TOTAL_FORMS"] = len(kept) + 2
        form[f"{prefix}-INITIAL_FORMS"] = len(kept)
        for number, row in enumerate([*kept, blank, blank]):
            form |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return form


def publish(prompt: Prompt, text: str, *variables: Variable) -> PromptVersion:
    content = PromptContent(messages=(MessageTemplate("system", text),), variables=variables)
    version = services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=version.number)
    return version


def test_a_new_prompt_leads_on_to_its_first_version(client: Client, boss: User) -> None:
    organization = Organization.objects.create(name="Acme", slug="acme")
    form = {"organization": organization.pk, "name": "greeting", "description": "", "_save": "1"}

    response = client.post(page("prompt_add"), form)

    prompt = Prompt.objects.get()
    assert response["Location"] == page("prompt_add_version", prompt.pk)
    assert client.get(response["Location"]).status_code == 200


def test_a_text_is_enough_for_a_version_and_its_variables_are_found(
    client: Client, boss: User, prompt: Prompt
) -> None:
    form = filled(("system", "Greet {{ name }}\r\nin {{ place }}."), note="start", publish="1")

    response = client.post(page("prompt_add_version", prompt.pk), form, follow=True)

    version = prompt.versions.get()
    assert version.content == PromptContent(
        messages=(MessageTemplate("system", "Greet {{ name }}\nin {{ place }}."),),
        variables=(Variable("name"), Variable("place")),
    )
    assert (version.author, version.note) == (boss, "start")
    assert prompt.labels.get(name="production").version == version
    shown = response.content.decode()
    assert "Version 1 is now “production”." in shown
    assert "Callers must send what the text newly asks for: name, place." in shown


def test_everything_about_a_version_can_be_said(client: Client, boss: User, prompt: Prompt) -> None:
    rows = [
        {"name": "tone", "type": "text", "default": "calm"},
        {"name": "tags", "type": "list", "default": '["a"]'},
        {"name": "gone", "type": "text", "required": "on", "default": "", "DELETE": "on"},
    ]
    messages = (("system", "{{ tone }}"), ("user", " "), ("assistant", "{{ tags.0 }}"))
    form = filled(*messages, variables=rows, temperature="0.5", max_tokens="100", save="1")

    client.post(page("prompt_add_version", prompt.pk), form)

    content = prompt.versions.get().content
    assert [message.role for message in content.messages] == ["system", "assistant"]
    assert content.variables == (
        Variable("tone", required=False, default="calm"),
        Variable("tags", type="list", required=False, default=["a"]),
    )
    assert content.settings == ModelSettings(temperature=0.5, max_tokens=100)
    assert not prompt.labels.exists()


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        (filled(("system", "Hi\n{% if name %}")), "Message 1, line 2: Unclosed tag"),
        (filled(("system", "{% load static %}")), "“load” cannot be used here"),
        (filled(("system", " ")), "The prompt says nothing"),
        (filled(("pirate", "Hi")), "Some fields are wrong"),
        (filled(("system", "Hi"), temperature="9"), "Some fields are wrong"),
        (
            filled(("system", "Hi"), variables=[{"name": "x", "type": "list", "default": "["}]),
            "This is not JSON.",
        ),
        (
            filled(
                ("system", "Hi"), variables=[{"name": "x", "type": "number", "default": "true"}]
            ),
            "The default of “x” must be a number.",
        ),
        ({}, "ManagementForm data is missing"),
    ],
)
def test_what_is_wrong_is_shown_and_nothing_is_saved(
    client: Client, boss: User, prompt: Prompt, form: dict[str, Any], problem: str
) -> None:
    response = client.post(page("prompt_add_version", prompt.pk), form)

    assert response.status_code == 200
    assert problem in response.content.decode()
    assert not prompt.versions.exists()


def test_saving_without_a_change_is_told(client: Client, boss: User, prompt: Prompt) -> None:
    publish(prompt, "Hello.")

    response = client.post(page("prompt_add_version", prompt.pk), filled(("system", "Hello.")))

    assert "Nothing has changed since version 1." in response.content.decode()
    assert prompt.versions.count() == 1


def test_the_editor_starts_from_the_newest_version_or_the_one_asked_for(
    client: Client, boss: User, prompt: Prompt
) -> None:
    publish(prompt, "First {{ x }}.", Variable("x", required=False, type="json", default=[1]))
    publish(prompt, "Second.")
    editor = page("prompt_add_version", prompt.pk)

    assert "Second." in client.get(editor).content.decode()
    older = client.get(f"{editor}?from=1").content.decode()
    assert "First {{ x }}." in older
    assert 'value="[1]"' in older
    assert client.get(f"{editor}?from=9").status_code == 404


def test_a_version_can_be_read_but_not_changed(client: Client, boss: User, prompt: Prompt) -> None:
    version = publish(prompt, "Say <b>{{ x }}</b>.", Variable("x"))
    address = page("promptversion_change", version.pk)

    shown = client.get(address).content.decode()

    assert "Say &lt;b&gt;{{ x }}&lt;/b&gt;." in shown
    assert "x (text)" in shown
    assert client.post(address, {"note": "changed"}).status_code == 403
    assert client.post(page("promptversion_delete", version.pk)).status_code == 403
    assert client.post(page("prompt_delete", prompt.pk)).status_code == 403


def test_permissions_say_who_may_write_and_who_may_publish(client: Client, prompt: Prompt) -> None:
    publish(prompt, "First.")
    sign_in_with(client, "view_prompt", "view_promptversion")

    shown = client.get(page("prompt_change", prompt.pk)).content.decode()

    assert "Version 1" in shown
    assert "Add a version" not in shown
    assert "Another label" not in shown
    assert client.get(page("prompt_add_version", prompt.pk)).status_code == 403


def test_who_may_write_but_not_publish_saves_only(client: Client, prompt: Prompt) -> None:
    sign_in_with(client, "view_prompt", "add_promptversion")
    form = filled(("system", "Hello."), publish="1")

    response = client.post(page("prompt_add_version", prompt.pk), form)

    assert response.status_code == 403
    assert not prompt.versions.exists()


def test_the_list_asks_the_database_a_fixed_number_of_questions(
    client: Client, boss: User, prompt: Prompt, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        other = services.create_prompt(organization=prompt.organization, name=f"other-{number}")
        publish(other, "Hello.")

    with django_assert_max_num_queries(8):
        shown = client.get(page("prompt_changelist")).content.decode()

    assert shown.count("version 1") >= 5
