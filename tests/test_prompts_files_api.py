"""Prompts as files over REST."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts import keys
from accounts.models import Organization, User
from prompts.models import LabelRule, Prompt, PromptVersion
from tests.chat_support import Person
from tests.prompt_files_support import make, said

pytestmark = pytest.mark.django_db(transaction=True)

RIGHTS = ["add_prompt", "add_promptversion", "change_promptlabel"]
EDITED = {"greeting/versions/production.yaml": "messages:\n- role: system\n  template: |-\n    B\n"}


@pytest.fixture
def prompt(acme: Organization) -> Prompt:
    return make(acme, "greeting", said("A"), production=1)


@pytest.fixture
def clerk(acme: Organization, prompt: Prompt) -> Person:
    """Staff who may import."""
    return staff("clerk", acme, RIGHTS)


def staff(name: str, organization: Organization, rights: list[str]) -> Person:
    person = Person(name, organization)
    User.objects.filter(pk=person.user.pk).update(is_staff=True)
    person.user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    return person


def send(browser: Client, files: Any, **how: Any) -> Any:
    body = {"files": files, **how}
    return browser.post("/api/prompts/import/", body, content_type="application/json")


def test_a_prompt_goes_out_as_yaml_and_comes_back(clerk: Person) -> None:
    text = clerk.browser.get("/api/prompts/greeting/export/")
    edited = text.content.decode().replace("    A\n", "    A new one\n")

    planned = send(clerk.browser, {"greeting.yaml": edited}, dry_run=True).json()
    count = PromptVersion.objects.count()
    done = send(clerk.browser, {"greeting.yaml": edited}, expected=planned["fingerprint"]).json()

    assert text["Content-Type"] == "application/yaml; charset=utf-8"
    assert (planned["dry_run"], count, done["dry_run"]) == (True, 1, False)
    assert planned["prompts"] == done["prompts"]
    [prompt] = done["prompts"]
    assert "\n-    A\n+    A new one\n" in prompt["versions"][0]["diff"]
    assert prompt["labels"] == [
        {"label": "production", "version": 2, "before": 1, "state": "moved"}
    ]
    assert done["summary"] == "1 new version, 1 label moved."
    assert PromptVersion.objects.get(number=2).author == clerk.user


def test_all_versions_are_exported_where_asked(clerk: Person, prompt: Prompt) -> None:
    address = "/api/prompts/greeting/export/"

    everything = clerk.browser.get(
        f"{address}?versions=all", headers={"accept": "application/yaml"}
    )

    assert "\nversions:\n  0001:\n" in everything.content.decode()
    assert clerk.browser.get(f"{address}?versions=some").status_code == 400
    lost = clerk.browser.get("/api/prompts/nothing/export/", headers={"accept": "application/yaml"})
    assert (lost.status_code, lost["Content-Type"]) == (404, "application/json")


def test_what_has_changed_meanwhile_is_not_imported(clerk: Person) -> None:
    response = send(clerk.browser, EDITED, expected="0" * 64)

    assert (response.status_code, response.json()["error"]["code"]) == (
        *(409, "prompt_import_changed"),
    )
    assert PromptVersion.objects.count() == 1


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"readme.md": "x"},
        {"a.yaml": 5},
        "x",
        {"a.yaml": "\ud800"},
        {"a.yaml": "a: &a [*a]"},
        {"a/versions/b.yaml": "messages: 5"},
        {"../a/versions/b.yaml": "- 1"},
        {"a.json": "{"},
    ],
)
def test_what_is_wrong_is_told(clerk: Person, files: Any) -> None:
    response = clerk.browser.post(
        "/api/prompts/import/", json.dumps({"files": files}), content_type="application/json"
    )

    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_problems_have_their_places(clerk: Person) -> None:
    wrong = {"a/versions/b.yaml": "messages:\n- role: user\n  template: '{{ x }}'\n"}

    error = send(clerk.browser, wrong).json()["error"]

    assert error["code"] == "prompt_import_invalid"
    assert error["a/versions/b.yaml:3 (messages[0].template)"] == (
        "the variable “x” is not declared."
    )


def test_a_protected_label_is_proposed_and_says_so(clerk: Person, acme: Organization) -> None:
    LabelRule.objects.create(organization=acme, label="production", needs_second_person=True)
    labels = {"greeting/labels.yaml": "production:\n  version: production\n"}

    [prompt] = send(clerk.browser, {**EDITED, **labels}).json()["prompts"]

    assert prompt["labels"][0]["state"] == "proposed"
    assert Prompt.objects.get().labels.get().version.number == 1


@pytest.mark.parametrize(("missing", "how"), [(right, "files") for right in RIGHTS])
def test_an_import_needs_every_permission(
    acme: Organization, prompt: Prompt, missing: str, how: str
) -> None:
    person = staff("less", acme, [right for right in RIGHTS if right != missing])

    response = send(person.browser, EDITED, labels=how)

    assert response.status_code == 403
    assert PromptVersion.objects.count() == 1


def test_without_labels_no_permission_to_move_them_is_needed(
    acme: Organization, prompt: Prompt
) -> None:
    person = staff("writer", acme, RIGHTS[:2])

    assert send(person.browser, EDITED, labels="none").status_code == 200
    assert PromptVersion.objects.count() == 2


def test_an_import_stays_in_the_own_organization(clerk: Person) -> None:
    other = staff("foreigner", Organization.objects.create(name="Other", slug="other"), RIGHTS)
    _, secret = keys.create(organization=other.organization, name="ci", user=other.user)

    send(other.browser, EDITED)
    by_key = send(Client(headers={"authorization": f"Bearer {secret}"}), EDITED)

    assert by_key.status_code == 403  # the key was not made for data
    assert other.browser.get("/api/prompts/greeting/export/").status_code == 200
    assert Prompt.objects.get(organization=clerk.organization).versions.count() == 1
    assert Prompt.objects.get(organization=other.organization).versions.count() == 1


def test_a_version_is_rendered_by_its_number(clerk: Person, prompt: Prompt) -> None:
    send(clerk.browser, EDITED, labels="none")
    body = {"version": 2}

    rendered = clerk.browser.post(
        "/api/prompts/greeting/render/", body, content_type="application/json"
    ).json()

    assert (rendered["version"], rendered["messages"][0]["content"]) == (2, "B")
