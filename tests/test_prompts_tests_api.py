"""Datasets, cases and runs over REST."""

from typing import Any

import pytest
from django.test import Client

from accounts import keys
from accounts.models import Organization, Scope, User
from prompts.models import Case, Dataset, DatasetRun, Prompt, RunState
from tests.testing_support import GOODBYE, HELLO, MODEL, make_dataset, make_prompt, ran
from tests.vendor import FakeVendor

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("impatient_calls"),
]


@pytest.fixture
def prompt(acme: Organization, vendor: FakeVendor) -> Prompt:
    vendor.serve(MODEL)
    return make_prompt(acme)


@pytest.fixture
def boss(acme: Organization, client: Client) -> User:
    user = User.objects.create_superuser("boss")
    user.organizations.add(acme)
    client.force_login(user)
    return user


def send(client: Client, method: str, address: str, **fields: Any) -> Any:
    return getattr(client, method)(address, fields, content_type="application/json")


def test_a_dataset_is_made_filled_and_read(client: Client, boss: User, prompt: Prompt) -> None:
    sent = {"prompt": "greeting", "name": "smoke", "guards_releases": True}
    made = send(client, "post", "/api/datasets/", **sent)
    assert made.status_code == 201
    address = f"/api/datasets/{made.json()['id']}/"
    cases = f"{address}cases/"

    first = send(client, "post", cases, variables={"name": "Ada"}, checks=[HELLO])
    second = send(
        client, "post", cases, name="two", messages=[{"role": "user", "content": "Hi"}], locale="de"
    )

    assert [first.status_code, second.status_code] == [201, 201]
    assert first.json()["name"] == "Case 1"
    assert client.get(address).json()["case_count"] == 2
    listed = client.get(cases, {"page_size": 1}).json()
    assert [one["name"] for one in listed["results"]] == ["Case 1"]
    assert client.get(listed["next"]).json()["results"] == [second.json()]
    one = f"{cases}{second.json()['id']}/"
    changed = send(client, "put", one, variables={"name": "Bo"}, checks=[GOODBYE])
    assert (changed.status_code, changed.json()["name"], changed.json()["locale"]) == (
        200,
        "two",
        "",
    )
    assert client.get(one).json() == changed.json()
    assert client.delete(one).status_code == 204
    assert Case.objects.count() == 1


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ({"checks": [{"kind": "regex", "pattern": "("}]}, 400),
        ({"checks": [{"kind": "guess"}]}, 400),
        ({"variables": []}, 400),
        ({"locale": "de_DE"}, 400),
        ({"messages": [{"role": "system", "content": "x"}]}, 400),
        ({"name": "Case 1"}, 409),
    ],
)
def test_what_is_no_case_is_refused(
    client: Client, boss: User, prompt: Prompt, case: dict[str, Any], status: int
) -> None:
    dataset = make_dataset(prompt, [])

    response = send(client, "post", f"/api/datasets/{dataset.pk}/cases/", **case)

    assert response.status_code == status
    assert response.json()["error"]["message"]


def test_a_run_is_started_and_read(client: Client, boss: User, prompt: Prompt) -> None:
    dataset = make_dataset(prompt, [HELLO], [GOODBYE])
    sent = {"dataset": dataset.pk, "versions": [1], "models": [MODEL]}
    made = send(client, "post", "/api/test-runs/", **sent)
    assert made.status_code == 201
    assert (made.json()["state"], made.json()["cap_usd"]) == ("waiting", "0.010000000000")
    assert float(made.json()["estimated_usd"]) > 0
    cancelled = send(client, "post", f"/api/test-runs/{made.json()['id']}/cancel/")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    run = ran(dataset)

    shown = client.get(f"/api/test-runs/{run.pk}/").json()

    assert (shown["state"], shown["spent_usd"]) == ("done", "0.000040000000")
    (column,) = shown["columns"]
    assert (column["passed"], column["counted"], column["rate"]) == (1, 2, "0.500000")
    results = client.get(f"/api/test-runs/{run.pk}/results/", {"passed": "false"}).json()
    (failed,) = results["results"]
    assert failed["case_name"] == "Case 2"
    assert failed["checks"][0]["why"] == "“goodbye” is not in the answer."
    listed = client.get("/api/test-runs/", {"state": "done", "dataset": "smoke"}).json()
    assert [one["id"] for one in listed["results"]] == [run.pk]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"versions": []}, 400),
        ({"versions": [3]}, 400),
        ({"models": ["nobody"]}, 404),
        ({"cap_usd": "0"}, 400),
        ({"cap_usd": "NaN"}, 400),
        ({"dataset": 0}, 400),
        ({"dataset": 2**62}, 404),
    ],
)
def test_what_cannot_be_run_is_refused(
    client: Client, boss: User, prompt: Prompt, fields: dict[str, Any], status: int
) -> None:
    dataset = make_dataset(prompt, [HELLO])
    sent = {"dataset": dataset.pk, "versions": [1], "models": [MODEL], **fields}

    assert send(client, "post", "/api/test-runs/", **sent).status_code == status
    assert not DatasetRun.objects.exists()


def test_who_may_not_write_reads_what_is_the_organizations(
    client: Client, acme: Organization, prompt: Prompt
) -> None:
    dataset = make_dataset(prompt, [HELLO])
    run = DatasetRun.objects.create(
        dataset=dataset, versions=[1], model_names=[MODEL], cap_usd=1, state=RunState.DONE
    )
    _, key = keys.create(organization=acme, name="reads", scopes=[Scope.DATA])
    other = Organization.objects.create(name="Other", slug="other")
    _, theirs = keys.create(organization=other, name="other", scopes=[Scope.DATA])
    addresses = (
        f"/api/datasets/{dataset.pk}/",
        f"/api/datasets/{dataset.pk}/cases/",
        f"/api/test-runs/{run.pk}/",
        f"/api/test-runs/{run.pk}/results/",
    )

    for address in addresses:
        reads = client.get(address, headers={"authorization": f"Bearer {key}"})
        strange = client.get(address, headers={"authorization": f"Bearer {theirs}"})
        assert (reads.status_code, strange.status_code) == (200, 404), address
    for address in ("/api/datasets/", "/api/test-runs/"):
        strange = client.get(address, headers={"authorization": f"Bearer {theirs}"})
        assert strange.json()["results"] == []
        refused = client.post(address, headers={"authorization": f"Bearer {key}"})
        assert refused.status_code == 403
    assert Dataset.objects.count() == 1


@pytest.mark.usefixtures("boss")
def test_a_filter_by_true_or_false_refuses_anything_else(client: Client) -> None:
    response = client.get("/api/datasets/?guards_releases=5")

    assert response.status_code == 400
