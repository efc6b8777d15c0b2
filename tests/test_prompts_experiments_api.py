"""Experiments over REST: read by the organization, planned and run by staff."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts import keys
from accounts.models import Organization, User
from prompts.models import Experiment, Prompt
from tests.experiments_support import CHALLENGER, CONTROL, make_prompt, started

ADDRESS = "/api/experiments/"
PLAN: dict[str, Any] = {
    "prompt": "greeting",
    "name": "brevity",
    "guardrail_metric": "errors",
    "ramp": [{"hours": 0, "percent": 50}],
    "arms": [CONTROL, {**CHALLENGER, "settings": {"max_tokens": 9}}],
}


@pytest.fixture
def prompt(db: None) -> Prompt:
    return make_prompt(Organization.objects.create(name="Acme", slug="acme"))


def member(prompt: Prompt, name: str, *permissions: str) -> Client:
    """Return the browser of a member, who is staff if they have permissions."""
    user = User.objects.create(username=name, is_staff=bool(permissions))
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    prompt.organization.memberships.create(user=user)
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def staff(prompt: Prompt) -> Client:
    return member(prompt, "ada", "add_experiment", "change_experiment", "change_promptlabel")


def post(client: Client, path: str = "", **sent: Any) -> Any:
    return client.post(f"{ADDRESS}{path}", sent, content_type="application/json")


def test_staff_plan_start_and_promote(staff: Client, prompt: Prompt) -> None:
    made = post(staff, **PLAN)
    assert made.status_code == 201
    planned = made.json()
    assert (planned["state"], planned["prompt"]) == ("draft", "greeting")
    assert planned["arms"][1]["settings"] == {"max_tokens": 9}
    assert staff.get(f"{ADDRESS}{planned['id']}/").json()["results"] is None

    assert post(staff, f"{planned['id']}/start/").json()["state"] == "running"
    results = staff.get(f"{ADDRESS}{planned['id']}/").json()["results"]
    assert [arm["name"] for arm in results["arms"]] == ["A", "B"]
    assert "Not enough data yet" in results["arms"][1]["sentences"][0]
    moved = post(staff, f"{planned['id']}/promote/", arm="B")

    assert moved.json() == {"state": "done"}
    # B has settings of its own, so it became a version.
    assert prompt.labels.get().version.number == 3
    assert Experiment.objects.get().created_by == User.objects.get(username="ada")


def test_staff_stop_with_a_reason(staff: Client, prompt: Prompt) -> None:
    experiment = started(prompt)
    assert post(staff, f"{experiment.pk}/stop/").status_code == 400

    stopped = post(staff, f"{experiment.pk}/stop/", reason="Enough.").json()

    assert (stopped["state"], stopped["stop_reason"]) == ("stopped", "Enough.")
    assert stopped["results"]["arms"][0]["units"] == 0
    again = post(staff, f"{experiment.pk}/stop/", reason="Again.")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "experiment_not_running")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"prompt": "none"}, 404, "not_found"),
        ({"arms": [{**CONTROL, "version": 7}]}, 400, "experiment_invalid"),
        ({"arms": "A"}, 400, "invalid_request"),
        ({"ramp": [{"hours": 1, "percent": 5}]}, 400, "invalid_request"),
        ({"primary_metric": "charm"}, 400, "invalid_request"),
    ],
)
def test_what_cannot_be_planned_says_why(
    staff: Client, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = post(staff, **{**PLAN, **changes})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_members_read_and_do_not_write(prompt: Prompt) -> None:
    experiment = started(prompt)
    reader = member(prompt, "bob")

    listed = reader.get(f"{ADDRESS}?prompt=greeting&state=running").json()["results"]

    assert [one["name"] for one in listed] == ["brevity"]
    assert reader.get(f"{ADDRESS}?prompt=other").json()["results"] == []
    assert reader.get(f"{ADDRESS}{experiment.pk}/").status_code == 200
    assert post(reader, **PLAN).status_code == 403
    for action in ("start", "stop", "promote"):
        assert post(reader, f"{experiment.pk}/{action}/", reason="x", arm="A").status_code == 403


def test_other_organizations_know_nothing_of_it(prompt: Prompt) -> None:
    experiment = started(prompt)
    other = make_prompt(Organization.objects.create(name="Other", slug="other"))
    stranger = member(other, "eve", "change_experiment")

    assert stranger.get(ADDRESS).json()["results"] == []
    assert stranger.get(f"{ADDRESS}{experiment.pk}/").status_code == 404
    assert post(stranger, f"{experiment.pk}/stop/", reason="Mine.").status_code == 404


def test_a_key_needs_the_scope_data_to_write(staff: Client, prompt: Prompt) -> None:
    ada = User.objects.get(username="ada")
    answers = []
    for scopes in ([], ["data"]):
        _, secret = keys.create(
            organization=prompt.organization, name="program", user=ada, scopes=scopes
        )
        program = Client(headers={"authorization": f"Bearer {secret}"})
        answers.append(post(program, **PLAN).status_code)

    assert answers == [403, 201]


def test_the_list_asks_as_much_for_many_as_for_one(
    staff: Client, prompt: Prompt, django_assert_num_queries: Any
) -> None:
    post(staff, **PLAN)
    staff.get(ADDRESS)
    with django_assert_num_queries(6):
        staff.get(ADDRESS)
    for number in range(4):
        post(staff, **{**PLAN, "name": f"e{number}"})

    with django_assert_num_queries(6):
        staff.get(ADDRESS)
