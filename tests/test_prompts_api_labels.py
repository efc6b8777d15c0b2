"""Labels over REST: read with their history, moved by staff who may, confirmed by another."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import Organization, User
from prompts import services
from prompts.content import MessageTemplate, PromptContent
from prompts.models import LabelMove, LabelRule, Prompt
from prompts.releases import services as releases
from tests.chat_support import Person

pytestmark = pytest.mark.django_db(transaction=True)

PRODUCTION = "labels/production/"
RIGHTS = ("change_promptlabel", "delete_promptlabel", "change_labelmove")


@pytest.fixture
def prompt(acme: Organization) -> Prompt:
    """A prompt with two versions; the first is in production."""
    made = services.create_prompt(organization=acme, name="greeting")
    for text in ("One.", "Two."):
        content = PromptContent(messages=(MessageTemplate("system", text),))
        services.add_version(prompt=made, content=content)
    releases.move_label(prompt=made, number=1)
    return made


@pytest.fixture
def ada(acme: Organization, prompt: Prompt) -> Person:
    return staff("ada", acme)


@pytest.fixture
def bo(acme: Organization, prompt: Prompt) -> Person:
    return staff("bo", acme)


@pytest.fixture
def protected(prompt: Prompt) -> None:
    LabelRule.objects.create(organization=prompt.organization, needs_second_person=True)


def staff(name: str, organization: Organization, *rights: str) -> Person:
    person = Person(name, organization)
    User.objects.filter(pk=person.user.pk).update(is_staff=True)
    permissions = Permission.objects.filter(codename__in=rights or RIGHTS)
    person.user.user_permissions.set(permissions)
    return person


def send(who: Person, verb: str, path: str, body: Any = None) -> Any:
    method = getattr(who.browser, verb)
    return method(f"/api/prompts/greeting/{path}", body, content_type="application/json")


def get(who: Person, path: str) -> Any:
    return who.browser.get(f"/api/prompts/greeting/{path}").json()


def test_a_label_is_moved_and_its_history_read(ada: Person) -> None:
    moved = send(ada, "put", PRODUCTION, {"version": 2, "note": "Shorter"})
    new = send(ada, "put", "labels/staging/", {"version": 1})

    assert (moved.status_code, moved.json()["version"], moved.json()["moved_by"]) == (200, 2, "ada")
    assert (new.status_code, new.json()["name"]) == (201, "staging")
    names = [row["name"] for row in get(ada, "labels/")["results"]]
    assert names == ["production", "staging"]
    newest, *_ = get(ada, "label-moves/?label=production")["results"]
    assert (newest["previous_version"], newest["version"], newest["note"]) == (1, 2, "Shorter")
    assert (newest["state"], newest["proposed_by"]) == ("done", "ada")
    assert get(ada, f"label-moves/{newest['id']}/") == newest
    assert len(get(ada, "label-moves/")["results"]) == 3
    assert get(ada, "label-moves/?state=failed")["results"] == []


def test_the_same_sent_again_changes_nothing(ada: Person) -> None:
    for _ in range(2):
        response = send(ada, "put", PRODUCTION, {"version": 2})

    assert (response.status_code, response.json()["version"]) == (200, 2)
    assert LabelMove.objects.count() == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 0},
        {"version": 10**12},
        {"version": 2, "note": "x" * 301},
        {"version": 2, "due_at": "soon"},
        {"version": 2, "due_at": "2020-01-01T00:00:00Z"},
    ],
)
def test_a_move_that_is_wrong_is_refused(ada: Person, body: Any) -> None:
    assert send(ada, "put", PRODUCTION, body).status_code == 400
    assert LabelMove.objects.count() == 1


@pytest.mark.usefixtures("protected")
def test_a_second_person_confirms(ada: Person, bo: Person) -> None:
    proposal = send(ada, "put", PRODUCTION, {"version": 2})
    address = f"label-moves/{proposal.json()['id']}/confirm/"

    own = send(ada, "post", address)
    confirmed = send(bo, "post", address)

    assert (proposal.status_code, proposal.json()["state"]) == (202, "proposed")
    assert (own.status_code, own.json()["error"]["code"]) == (409, "second_person_needed")
    assert (confirmed.status_code, confirmed.json()["decided_by"]) == (200, "bo")
    assert get(ada, PRODUCTION)["version"] == 2
    assert send(bo, "post", address).status_code == 409


@pytest.mark.usefixtures("protected")
def test_a_proposal_is_refused_or_withdrawn(ada: Person, bo: Person) -> None:
    for who, decision, state in ((bo, "refuse", "refused"), (ada, "withdraw", "withdrawn")):
        proposal = send(ada, "put", PRODUCTION, {"version": 2}).json()

        ended = send(who, "post", f"label-moves/{proposal['id']}/{decision}/")

        assert (ended.status_code, ended.json()["state"]) == (200, state)
    assert get(ada, PRODUCTION)["version"] == 1


def test_a_move_waits_for_its_time(ada: Person) -> None:
    due_at = (timezone.now() + timedelta(days=1)).isoformat()

    scheduled = send(ada, "put", PRODUCTION, {"version": 2, "due_at": due_at})
    second = send(ada, "put", PRODUCTION, {"version": 2, "due_at": due_at})

    assert (scheduled.status_code, scheduled.json()["state"]) == (202, "scheduled")
    assert (second.status_code, second.json()["error"]["code"]) == (409, "label_move_refused")


def test_a_label_is_rolled_back(ada: Person) -> None:
    send(ada, "put", PRODUCTION, {"version": 2})

    back = send(ada, "post", "labels/production/rollback/", {"note": "It swears"})

    assert (back.status_code, back.json()["version"]) == (200, 1)
    assert back.json()["note"] == "Rollback from version 2. It swears"
    assert send(ada, "post", "labels/staging/rollback/").status_code == 409


def test_a_label_is_taken_away(ada: Person) -> None:
    send(ada, "put", "labels/staging/", {"version": 2})

    assert send(ada, "delete", "labels/staging/").status_code == 204
    assert send(ada, "delete", "labels/staging/").status_code == 404
    assert send(ada, "delete", PRODUCTION).status_code == 409


@pytest.mark.parametrize(
    ("rights", "allowed"),
    [
        (("view_prompt",), set()),
        (("change_promptlabel",), {"put", "rollback", "withdraw"}),
        (("change_labelmove",), {"confirm", "refuse"}),
        (("delete_promptlabel",), {"delete"}),
    ],
)
def test_each_right_allows_what_is_its_own(
    acme: Organization, prompt: Prompt, rights: tuple[str, ...], allowed: set[str]
) -> None:
    person = staff("eve", acme, *rights)
    at = f"label-moves/{prompt.label_moves.get().pk}"
    asked = {
        "put": ("put", PRODUCTION),
        "delete": ("delete", PRODUCTION),
        "rollback": ("post", "labels/production/rollback/"),
        **{name: ("post", f"{at}/{name}/") for name in ("confirm", "refuse", "withdraw")},
    }

    opened = {name for name, one in asked.items() if send(person, *one).status_code != 403}

    assert opened == allowed


def test_a_move_of_another_organization_is_hidden(ada: Person, prompt: Prompt) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    services.create_prompt(organization=other, name="greeting")
    foreigner = staff("foreigner", other)
    move = prompt.label_moves.get()

    assert get(foreigner, "label-moves/")["results"] == []
    assert send(foreigner, "post", f"label-moves/{move.pk}/confirm/").status_code == 404
    assert send(foreigner, "put", PRODUCTION, {"version": 2}).status_code == 404


def test_a_key_of_the_organization_moves_nothing(acme: Organization, prompt: Prompt) -> None:
    _, secret = keys.create(organization=acme, name="ci", scopes=["data"])
    program = Client(headers={"authorization": f"Bearer {secret}"})
    address = f"/api/prompts/greeting/{PRODUCTION}"

    moved = program.put(address, {"version": 2}, content_type="application/json")

    assert (moved.status_code, program.get(address).json()["version"]) == (403, 1)


def test_lists_ask_a_fixed_number_of_questions(
    ada: Person, prompt: Prompt, django_assert_max_num_queries: Any
) -> None:
    for number in (2, 1, 2, 1):
        releases.move_label(prompt=prompt, number=number, by=ada.user)
    for name in ("staging", "canary"):
        releases.move_label(prompt=prompt, number=1, by=ada.user, name=name)

    with django_assert_max_num_queries(7):
        get(ada, "label-moves/")
    with django_assert_max_num_queries(7):
        get(ada, "labels/")
