"""What people and programs say of answers, and which arm it counts for."""

from typing import Any

import pytest
from django.test import Client

from accounts import keys
from accounts.models import ApiKey, Organization, User
from accounts.principal import Principal
from billing.models import UsageRecord
from core.errors import AppError
from prompts import feedback
from prompts.models import Feedback, FeedbackKind
from tests.usage_support import used

THUMB, CHECK = FeedbackKind.THUMB, FeedbackKind.CHECK


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def ada(organization: Organization) -> User:
    user = User.objects.create(username="ada")
    organization.memberships.create(user=user)
    return user


def acting(user: User, organization: Organization) -> Principal:
    return Principal(organization_id=organization.pk, user_id=user.pk)


def again(principal: Principal) -> Feedback:
    """Keep that the caller has asked for another answer to their request."""
    kind = FeedbackKind.REGENERATED
    return feedback.record(principal=principal, request_id="r1", kind=kind, value=1)


@pytest.fixture
def principal(ada: User, organization: Organization) -> Principal:
    return acting(ada, organization)


@pytest.fixture
def request_of_ada(ada: User, organization: Organization) -> UsageRecord:
    return used(
        organization,
        request_id="r1",
        user_id=ada.pk,
        prompt_name="greeting",
        prompt_version=2,
        experiment="brevity",
        arm="B",
        unit=f"user:{ada.pk}",
    )


def test_a_thumb_is_kept_with_the_version_and_arm_it_is_about(
    principal: Principal, request_of_ada: UsageRecord
) -> None:
    kept = feedback.record(
        principal=principal, request_id="r1", kind=THUMB, value=-1, reason="Too long."
    )

    assert (kept.prompt_name, kept.prompt_version) == ("greeting", 2)
    assert (kept.experiment, kept.arm, kept.unit) == ("brevity", "B", request_of_ada.unit)
    assert (kept.value, kept.reason, kept.user_id) == (-1, "Too long.", principal.user_id)


def test_who_changes_their_mind_is_counted_once_of_each_kind(
    principal: Principal, request_of_ada: UsageRecord
) -> None:
    for value in (1, -1):
        feedback.record(principal=principal, request_id="r1", kind=THUMB, value=value)
    again(principal)
    again(principal)

    kept = Feedback.objects.order_by("kind")
    assert [(one.kind, one.value) for one in kept] == [("regenerated", 1), ("thumb", -1)]


def test_what_a_retried_request_is_about_is_its_last_attempt(
    principal: Principal, request_of_ada: UsageRecord, organization: Organization
) -> None:
    UsageRecord.objects.filter(pk=request_of_ada.pk).update(attempt=2)
    used(organization, request_id="r1", user_id=principal.user_id, prompt_version=1)

    assert again(principal).prompt_version == 2


@pytest.mark.parametrize("kind", FeedbackKind)
def test_a_request_of_somebody_else_is_unknown(
    organization: Organization, request_of_ada: UsageRecord, kind: FeedbackKind
) -> None:
    stranger = Organization.objects.create(name="Other", slug="other")
    bob = User.objects.create(username="bob")

    for principal in (acting(bob, organization), acting(bob, stranger)):
        with pytest.raises(AppError) as caught:
            feedback.record(principal=principal, request_id="r1", kind=kind, value=1)
        assert (caught.value.code, caught.value.http_status) == ("request_not_found", 404)


@pytest.mark.parametrize(("kind", "value"), [(THUMB, 0), (CHECK, -1), ("regenerated", 0)])
def test_a_value_suits_its_kind(
    principal: Principal, request_of_ada: UsageRecord, kind: str, value: int
) -> None:
    with pytest.raises(AppError, match="The value of"):
        feedback.record(principal=principal, request_id="r1", kind=FeedbackKind(kind), value=value)


def program(
    organization: Organization, user: User | None = None, **more: Any
) -> tuple[ApiKey, Client]:
    key, secret = keys.create(organization=organization, name="program", user=user, **more)
    return key, Client(headers={"authorization": f"Bearer {secret}"})


@pytest.mark.parametrize("scopes", [[], ["chat"], ["data"]])
def test_a_program_judges_its_own_requests_with_the_key_that_made_them(
    organization: Organization, scopes: list[str]
) -> None:
    key, client = program(organization, scopes=scopes)
    used(organization, request_id="r2", api_key_id=key.pk, prompt_name="greeting")
    sent = {"request_id": "r2", "kind": "check", "value": 1}

    answer = client.post("/api/feedback/", sent, content_type="application/json")

    assert answer.status_code == 201
    assert answer.json()["prompt_name"] == "greeting"
    listed = client.get("/api/feedback/?kind=check").json()["results"]
    assert [one["request_id"] for one in listed] == ["r2"]
    assert client.delete(f"/api/feedback/{answer.json()['id']}/").status_code == 204
    assert not Feedback.objects.exists()


def test_a_key_made_for_something_else_says_nothing(organization: Organization) -> None:
    _, client = program(organization, scopes=["embeddings"])

    answer = client.post("/api/feedback/", {}, content_type="application/json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "scope_missing")


def test_a_person_is_the_same_in_the_browser_and_with_a_key(
    organization: Organization, ada: User, request_of_ada: UsageRecord, client: Client
) -> None:
    client.force_login(ada)
    _, other_way = program(organization, ada)

    for sender, value in ((client, 1), (other_way, -1)):
        sent = {"request_id": "r1", "kind": "thumb", "value": value}
        assert (
            sender.post("/api/feedback/", sent, content_type="application/json").status_code == 201
        )

    assert Feedback.objects.get().value == -1
    assert len(client.get("/api/feedback/").json()["results"]) == 1


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"request_id": "none", "kind": "thumb", "value": 1}, 404, "request_not_found"),
        ({"request_id": "r1", "kind": "thumb", "value": 0}, 400, "invalid_request"),
        ({"request_id": "r1", "kind": "smile", "value": 1}, 400, "invalid_request"),
        ({"request_id": "r1", "kind": "thumb", "value": 7}, 400, "invalid_request"),
        ({"request_id": "r" * 101, "kind": "thumb", "value": 1}, 400, "invalid_request"),
        (
            {"request_id": "r1", "kind": "thumb", "value": 1, "reason": "x" * 501},
            400,
            "invalid_request",
        ),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_code(
    client: Client, ada: User, request_of_ada: UsageRecord, sent: Any, status: int, code: str
) -> None:
    client.force_login(ada)

    answer = client.post("/api/feedback/", sent, content_type="application/json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_nobody_takes_back_what_somebody_else_said(
    client: Client, principal: Principal, request_of_ada: UsageRecord, organization: Organization
) -> None:
    kept = again(principal)
    bob = User.objects.create(username="bob")
    organization.memberships.create(user=bob)
    client.force_login(bob)

    assert client.get("/api/feedback/").json()["results"] == []
    assert client.delete(f"/api/feedback/{kept.pk}/").status_code == 404
