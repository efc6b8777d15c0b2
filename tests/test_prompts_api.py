"""Prompts over REST: read and rendered by their organization, written by staff who may."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts import keys
from accounts.models import Organization, User
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.models import Prompt, PromptVersion
from prompts.releases import services as releases
from tests.chat_support import Person

pytestmark = pytest.mark.django_db(transaction=True)

MESSAGES = [{"role": "system", "template": "  Be {{ mood }}.\n"}]
VERSION = {"messages": MESSAGES, "variables": [{"name": "mood"}], "note": "By REST"}


@pytest.fixture
def prompt(acme: Organization) -> Prompt:
    made = services.create_prompt(organization=acme, name="greeting", description="Says hello")
    content = PromptContent(
        messages=(MessageTemplate("system", "Greet {{ name }}."),), variables=(Variable("name"),)
    )
    services.add_version(prompt=made, content=content)
    releases.move_label(prompt=made, number=1)
    return made


@pytest.fixture
def ada(acme: Organization, prompt: Prompt) -> Person:
    return Person("ada", acme)


@pytest.fixture
def clerk(acme: Organization, prompt: Prompt) -> Person:
    """Staff who may write prompts."""
    person = Person("clerk", acme)
    User.objects.filter(pk=person.user.pk).update(is_staff=True)
    codes = ["add_promptversion", "change_promptlabel"]
    person.user.user_permissions.set(Permission.objects.filter(codename__in=codes))
    return person


def send(who: Person, verb: str, path: str, body: Any) -> Any:
    method = getattr(who.browser, verb)
    return method(f"/api/prompts/greeting/{path}", body, content_type="application/json")


def test_prompts_are_listed_with_their_labels(ada: Person) -> None:
    [row] = ada.browser.get("/api/prompts/").json()["results"]

    assert (row["name"], row["description"]) == ("greeting", "Says hello")
    [label] = row["labels"]
    assert (label["name"], label["version"]) == ("production", 1)
    assert ada.browser.get("/api/prompts/greeting/").json() == row
    assert ada.browser.get("/api/prompts/?search=GREET").json()["results"] == [row]
    assert ada.browser.get("/api/prompts/?label=canary").json()["results"] == []


def test_a_version_is_read(ada: Person) -> None:
    [row] = ada.browser.get("/api/prompts/greeting/versions/").json()["results"]

    assert row["messages"] == [{"role": "system", "template": "Greet {{ name }}."}]
    assert row["variables"][0]["name"] == "name"
    assert ada.browser.get("/api/prompts/greeting/versions/1/").json() == row
    assert ada.browser.get("/api/prompts/greeting/versions/2/").status_code == 404
    label = ada.browser.get("/api/prompts/greeting/labels/production/").json()
    assert label["version"] == 1
    assert ada.browser.get("/api/prompts/greeting/labels/canary/").status_code == 404


def test_a_prompt_is_rendered(ada: Person) -> None:
    rendered = send(ada, "post", "render/", {"variables": {"name": "Bo"}})

    assert rendered.json() == {
        "name": "greeting",
        "version": 1,
        "messages": [{"role": "system", "content": "Greet Bo."}],
        "settings": {},
        "tools": [],
        "output_schema": None,
        "locale": "en",
    }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"variables": {}}, 400),
        ({"variables": {"name": "Bo", "age": 5}}, 400),
        ({"variables": "Bo"}, 400),
        ({"label": "canary", "variables": {"name": "Bo"}}, 404),
    ],
)
def test_a_prompt_that_cannot_be_rendered_says_why(ada: Person, body: Any, status: int) -> None:
    refused = send(ada, "post", "render/", body)

    assert refused.status_code == status
    assert refused.json()["error"]["message"]


def test_staff_add_a_version_and_move_a_label_to_it(ada: Person, clerk: Person) -> None:
    added = send(clerk, "post", "versions/", VERSION)
    moved = send(clerk, "put", "labels/production/", {"version": 2})

    assert (added.status_code, added.json()["number"], added.json()["author"]) == (201, 2, "clerk")
    assert (moved.status_code, moved.json()["version"]) == (200, 2)
    rendered = send(ada, "post", "render/", {"variables": {"mood": "kind"}}).json()
    assert rendered["messages"][0]["content"] == "  Be kind.\n"


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"messages": [{"role": "robot", "template": "x"}]},
        {"messages": [{"role": "system", "template": "{{ unknown }}"}]},
        {"messages": [{"role": "system", "template": "{% load x %}"}]},
        {"variables": [{"name": "mood", "type": "date"}]},
        {"settings": {"temperature": 9}},
    ],
)
def test_a_version_that_is_wrong_is_refused(clerk: Person, wrong: Any) -> None:
    refused = send(clerk, "post", "versions/", {**VERSION, **wrong})

    assert refused.status_code == 400
    assert PromptVersion.objects.count() == 1


def test_a_label_points_at_versions_that_there_are(clerk: Person) -> None:
    assert send(clerk, "put", "labels/production/", {"version": 9}).status_code == 404
    assert send(clerk, "put", "labels/Loud/", {"version": 1}).status_code == 400
    assert send(clerk, "put", "labels/production/", {"version": "x"}).status_code == 400


def test_nobody_writes_without_the_permission(ada: Person) -> None:
    _, secret = keys.create(organization=ada.organization, name="ci")
    program = Client(headers={"authorization": f"Bearer {secret}"})
    also_staff = Person("staff", ada.organization)
    User.objects.filter(pk=also_staff.user.pk).update(is_staff=True)

    for browser in (ada.browser, program, also_staff.browser):
        json = "application/json"
        added = browser.post("/api/prompts/greeting/versions/", VERSION, content_type=json)
        moved = browser.put("/api/prompts/greeting/labels/x/", {"version": 1}, content_type=json)
        assert (added.status_code, moved.status_code) == (403, 403)
    assert PromptVersion.objects.count() == 1


@pytest.mark.parametrize(("scopes", "status"), [([], 403), (["data"], 201), (["chat"], 403)])
def test_a_key_of_staff_writes_only_where_it_was_made_for_that(
    clerk: Person, scopes: list[str], status: int
) -> None:
    _, secret = keys.create(
        organization=clerk.organization, name="ci", user=clerk.user, scopes=scopes
    )
    program = Client(headers={"authorization": f"Bearer {secret}"})

    added = program.post(
        "/api/prompts/greeting/versions/", VERSION, content_type="application/json"
    )

    assert added.status_code == status


def test_another_organization_sees_nothing_of_it(ada: Person, clerk: Person) -> None:
    foreigner = Person("foreigner", Organization.objects.create(name="Other", slug="other"))
    User.objects.filter(pk=foreigner.user.pk).update(is_staff=True, is_superuser=True)

    assert foreigner.browser.get("/api/prompts/").json()["results"] == []
    for path in ("", "versions/", "versions/1/", "labels/production/"):
        assert foreigner.browser.get(f"/api/prompts/greeting/{path}").status_code == 404
    assert send(foreigner, "post", "render/", {"variables": {"name": "x"}}).status_code == 404
    assert send(foreigner, "post", "versions/", VERSION).status_code == 404
    assert send(foreigner, "put", "labels/production/", {"version": 1}).status_code == 404


def test_the_list_asks_a_fixed_number_of_questions(
    ada: Person, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        services.create_prompt(organization=ada.organization, name=f"more-{number}")

    with django_assert_max_num_queries(7):
        ada.browser.get("/api/prompts/")


def test_what_a_version_shows_can_be_sent_again(clerk: Person) -> None:
    made = send(clerk, "post", "versions/", VERSION).json()
    assert made["variables"][0]["default"] is None

    again = send(clerk, "post", "versions/", {**made, "settings": {"max_tokens": 5}})

    assert again.status_code == 201
    assert again.json()["variables"] == made["variables"]


def test_a_number_is_no_text_of_a_message(clerk: Person) -> None:
    wrong = {"messages": [{"role": "system", "template": 7}]}

    response = send(clerk, "post", "versions/", wrong)

    assert response.status_code == 400
    assert "messages" in response.json()["error"]["fields"]


ALL_PARTS = {
    "messages": [{"role": "system", "template": "Hello {{ tone }}"}],
    "variables": [{"name": "tone", "type": "choice", "options": ["calm", "brisk"]}],
    "settings": {"model": "fast", "top_p": 0.5, "stop": ["END"], "seed": 1},
    "tools": [{"function": {"name": "look_up", "parameters": {"type": "object"}}}],
    "output_schema": {"name": "answer", "schema": {"type": "object"}},
    "locales": {"de": [{"role": "system", "template": "Hallo {{ tone }}"}]},
}


def test_a_version_has_all_its_parts_over_rest(clerk: Person) -> None:
    added = send(clerk, "post", "versions/", ALL_PARTS)
    moved = send(clerk, "put", "labels/all/", {"version": 2})
    asked = {"label": "all", "variables": {"tone": "calm"}, "locale": "de-AT"}
    rendered = send(clerk, "post", "render/", asked).json()

    assert (added.status_code, moved.json()["version"]) == (201, 2)
    assert added.json()["settings"] == ALL_PARTS["settings"]
    assert added.json()["locales"] == ALL_PARTS["locales"]
    assert rendered["messages"] == [{"role": "system", "content": "Hallo calm"}]
    assert rendered["locale"] == "de"
    assert rendered["tools"][0]["function"]["name"] == "look_up"
    assert rendered["output_schema"]["schema"] == {"type": "object"}


def test_what_is_wrong_with_a_version_is_told_by_place_and_line(clerk: Person) -> None:
    wrong = {"messages": [{"role": "system", "template": "Hi\n{{ nobody }}"}]}

    error = send(clerk, "post", "versions/", {**wrong, "settings": {"top_p": 2}}).json()["error"]

    assert error["code"] == "prompt_content_invalid"
    assert error["messages[0]:2"] == "the variable “nobody” is not declared."
    assert error["settings.top_p"] == "Top-p must be between 0 and 1."


def test_an_answer_may_be_stopped_at_the_end_of_a_line(clerk: Person) -> None:
    added = send(clerk, "post", "versions/", {**VERSION, "settings": {"stop": ["\n"]}})

    assert added.status_code == 201
    assert added.json()["settings"]["stop"] == ["\n"]


def test_a_language_is_a_text(ada: Person) -> None:
    refused = send(ada, "post", "render/", {"variables": {}, "locale": 0})

    assert refused.status_code == 400
    assert "locale" in refused.json()["error"]["fields"]
