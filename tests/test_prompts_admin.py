"""Staff find prompts and read their versions in the admin."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
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


def test_the_list_asks_the_database_a_fixed_number_of_questions(
    client: Client, boss: User, prompt: Prompt, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        other = services.create_prompt(organization=prompt.organization, name=f"other-{number}")
        publish(other, "Hello.")

    with django_assert_max_num_queries(8):
        shown = client.get(page("prompt_changelist")).content.decode()

    assert shown.count("version 1") >= 5
