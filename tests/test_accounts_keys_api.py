"""Keys over REST: one's own, for people only; and how often anybody may ask."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

import accounts.api
from accounts import keys
from accounts.models import ApiKey, Membership, Organization, Role
from tests.chat_support import Person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ada(acme: Organization) -> Person:
    return Person("ada", acme)


@pytest.fixture
def boss(acme: Organization) -> Person:
    person = Person("boss", acme)
    Membership.objects.filter(user=person.user).update(role=Role.ADMIN)
    return person


def post(who: Person, path: str, **body: Any) -> Any:
    return who.browser.post(f"/api/keys/{path}", body, content_type="application/json")


def patch(who: Person, key: ApiKey, **body: Any) -> Any:
    return who.browser.patch(f"/api/keys/{key.pk}/", body, content_type="application/json")


def names(who: Person, query: str = "") -> list[str]:
    return [row["name"] for row in who.browser.get(f"/api/keys/{query}").json()["results"]]


def test_a_key_is_made_with_its_secret_shown_once(ada: Person) -> None:
    made = post(ada, "", name="ci", scopes=["chat"], allowed_addresses="10.0.0.0/8")

    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    secret = made.json()["secret"]
    assert keys.principal_of(secret, exact_ip="10.0.0.1").user_id == ada.user.pk
    shown = ada.browser.get(f"/api/keys/{made.json()['id']}/").json()
    assert "secret" not in shown
    assert "key_hash" not in shown
    assert (shown["scopes"], shown["status"], shown["user"]) == (["chat"], "active", "ada")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "ci", "scopes": ["everything"]}, "scopes"),
        ({"name": "ci", "allowed_models": "*a" * 1000}, "allowed_models"),
        ({"name": "ci", "allowed_models": "a\n" * 101}, "allowed_models"),
        ({"name": "ci", "allowed_addresses": "nonsense"}, "allowed_addresses"),
        ({"name": "ci", "allowed_addresses": "\ud800"}, "allowed_addresses"),
        ({"name": "ci", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "ci", "on_disconnect": "wait"}, "on_disconnect"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(ada: Person, body: Any, field: str) -> None:
    refused = post(ada, "", **body)

    assert refused.status_code == 400
    assert field in refused.json()["error"]["fields"]
    assert not ApiKey.objects.exists()


def test_a_key_is_narrowed_renamed_and_revoked(ada: Person) -> None:
    key, secret = keys.create(organization=ada.organization, name="ci", user=ada.user)

    changed = patch(ada, key, name="narrow", scopes=["models"])
    assert (changed.json()["name"], changed.json()["scopes"]) == ("narrow", ["models"])
    assert keys.principal_of(secret).scopes == ("models",)

    revoked = post(ada, f"{key.pk}/revoke/")
    assert revoked.json()["status"] == "revoked"
    with pytest.raises(keys.InvalidApiKey):
        keys.principal_of(secret)


def test_a_key_gets_a_new_secret_and_the_old_one_its_time(ada: Person) -> None:
    key, old = keys.create(organization=ada.organization, name="ci", user=ada.user)

    new = post(ada, f"{key.pk}/rotate/", overlap_hours=1).json()["secret"]
    assert keys.principal_of(new).api_key_id == keys.principal_of(old).api_key_id == key.pk

    post(ada, f"{key.pk}/rotate/")
    with pytest.raises(keys.InvalidApiKey):
        keys.principal_of(new)
    assert post(ada, f"{key.pk}/rotate/", overlap_hours=1000).status_code == 400


@pytest.mark.parametrize("scopes", [[], ["data"]])
def test_a_key_manages_no_keys(ada: Person, scopes: list[str]) -> None:
    key, secret = keys.create(
        organization=ada.organization, name="ci", user=ada.user, scopes=scopes
    )
    program = Client(headers={"authorization": f"Bearer {secret}"})

    for response in (
        program.get("/api/keys/"),
        program.post("/api/keys/", {"name": "more"}, content_type="application/json"),
        program.patch(f"/api/keys/{key.pk}/", {"name": "x"}, content_type="application/json"),
        program.post(f"/api/keys/{key.pk}/rotate/"),
        program.post(f"/api/keys/{key.pk}/revoke/"),
    ):
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "permission_denied"
    assert [key.name for key in ApiKey.objects.all()] == ["ci"]
    assert keys.principal_of(secret)


def test_keys_are_seen_by_who_has_them_and_who_manages_the_organization(
    ada: Person, boss: Person
) -> None:
    other = Person("foreigner", Organization.objects.create(name="Other", slug="other"))
    Membership.objects.filter(user=other.user).update(role=Role.OWNER)
    key, _ = keys.create(organization=ada.organization, name="of ada", user=ada.user)
    keys.create(organization=ada.organization, name="of nobody")

    assert names(ada) == ["of ada"]
    assert names(boss) == ["of nobody", "of ada"]
    assert names(other) == []
    for verb in ("", "revoke/", "rotate/"):
        address = f"/api/keys/{key.pk}/{verb}"
        response = other.browser.post(address) if verb else other.browser.get(address)
        assert response.status_code == 404
    assert patch(other, key, name="mine").status_code == 404
    assert Client().get("/api/keys/").status_code == 401


def test_who_manages_the_organization_gets_no_secret_of_a_persons_key(
    ada: Person, boss: Person
) -> None:
    key, secret = keys.create(organization=ada.organization, name="of ada", user=ada.user)
    common, _ = keys.create(organization=ada.organization, name="of nobody")

    refused = post(boss, f"{key.pk}/rotate/")

    assert refused.status_code == 403
    assert "secret" not in refused.json()
    assert keys.principal_of(secret).api_key_id == key.pk
    assert post(boss, f"{common.pk}/rotate/").json()["secret"]


def test_a_key_of_nobody_is_made_by_who_manages_the_organization(ada: Person, boss: Person) -> None:
    assert post(ada, "", name="ci", is_for_organization=True).status_code == 403
    assert post(boss, "", name="ci", is_for_organization=True).json()["user"] is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["dead", "alive"]),
        ("?is_revoked=true", ["dead"]),
        ("?is_revoked=false", ["alive"]),
        ("?name=LIV", ["alive"]),
    ],
)
def test_keys_are_filtered(ada: Person, query: str, found: list[str]) -> None:
    keys.create(organization=ada.organization, name="alive", user=ada.user)
    keys.revoke(keys.create(organization=ada.organization, name="dead", user=ada.user)[0])

    assert names(ada, query) == found


def test_long_lists_come_in_pages(ada: Person, django_assert_max_num_queries: Any) -> None:
    for number in range(5):
        keys.create(organization=ada.organization, name=str(number), user=ada.user)

    with django_assert_max_num_queries(6):
        first = ada.browser.get("/api/keys/?page_size=3").json()
    second = ada.browser.get(first["next"]).json()

    assert [row["name"] for row in first["results"] + second["results"]] == list("43210")
    assert second["next"] is None
    assert ada.browser.get("/api/keys/?cursor=nonsense").status_code == 404
    assert ada.browser.get("/api/keys/?cursor=cD1ub25zZW5zZQ==").status_code == 404  # p=nonsense


def test_a_session_needs_the_token_of_its_form(ada: Person) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada.user)

    refused = strict.post("/api/keys/", {"name": "ci"}, content_type="application/json")

    assert refused.status_code == 403
    assert not ApiKey.objects.exists()


# --- How often -----------------------------------------------------------------------------------


@pytest.fixture
def few(settings: Settings) -> Iterator[None]:
    settings.REST_PER_MINUTE, settings.REST_ANONYMOUS_PER_MINUTE = 2, 1
    yield
    accounts.api._callers.forget()
    accounts.api._strangers.forget()


def test_who_asks_too_often_is_told_when_to_come_again(ada: Person, few: None) -> None:
    answers = [ada.browser.get("/api/keys/") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(answers[2]["Retry-After"]) <= 60


def test_each_key_has_a_count_of_its_own(ada: Person, few: None) -> None:
    secrets = [keys.create(organization=ada.organization, name="ci")[1] for _ in range(2)]

    for secret in secrets:
        program = Client(headers={"authorization": f"Bearer {secret}"})
        statuses = [program.get("/api/usage/").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


def test_who_has_neither_key_nor_session_is_counted_by_address(few: None) -> None:
    statuses = [Client(REMOTE_ADDR="192.0.2.77").get("/api/schema/").status_code for _ in range(2)]

    assert statuses == [200, 429]
    assert Client(REMOTE_ADDR="192.0.2.78").get("/api/schema/").status_code == 200
