"""`/api/usage/`: each caller sees what is theirs, a page at a time."""

from base64 import b64encode
from typing import Any

import pytest
from django.test import Client

from accounts import keys
from accounts.models import Membership, Organization, User
from accounts.services import principal_for
from billing.entries import Hold, Settle
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant()


def member(organization: Organization, name: str) -> User:
    user = User.objects.create_user(name, password="a long password")
    Membership.objects.create(organization=organization, user=user)
    return user


def call(tenant: Tenant, user: User, **changes: Any) -> None:
    """Make one paid call of `user`."""
    made = attempt(tenant, "0.001", principal=principal_for(user), **changes)
    for entry in (Hold(made), Settle(settlement(made, "0.000123"))):
        book(entry)


def usage(client: Client, query: str = "", **headers: str) -> list[dict[str, Any]]:
    response = client.get(f"/api/usage/{query}", headers=headers)
    assert response.status_code == 200
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_a_person_sees_their_own_calls_with_exact_money(tenant: Tenant, client: Client) -> None:
    alice, bob = member(tenant.organization, "alice"), member(tenant.organization, "bob")
    call(tenant, alice, request_id="hers")
    call(tenant, bob, request_id="his")
    client.force_login(alice)

    rows = usage(client)

    assert [row["request_id"] for row in rows] == ["hers"]
    assert rows[0]["cost_usd"] == "0.000123000000"
    assert rows[0]["output_tokens"] == 50


def test_the_calls_of_an_experiment_are_listed_alone(tenant: Tenant, client: Client) -> None:
    alice, bob = member(tenant.organization, "alice"), member(tenant.organization, "bob")
    arm = {"experiment": "greeting", "arm": "friendly", "unit": "user-7"}
    call(tenant, alice, request_id="hers", **arm)
    call(tenant, alice)
    call(tenant, bob, request_id="his", **arm)
    client.force_login(alice)

    rows = usage(client, "?experiment=greeting")

    assert [row["request_id"] for row in rows] == ["hers"]
    assert {name: rows[0][name] for name in arm} == arm
    assert len(usage(client)) == 2


def test_a_persons_key_sees_what_the_person_sees(tenant: Tenant, client: Client) -> None:
    alice = member(tenant.organization, "alice")
    call(tenant, alice)
    _, secret = keys.create(organization=tenant.organization, name="laptop", user=alice)

    assert len(usage(client, Authorization=f"Bearer {secret}")) == 1


def test_a_key_of_another_organization_sees_nothing(tenant: Tenant, client: Client) -> None:
    call(tenant, member(tenant.organization, "alice"))
    other = make_tenant()
    _, secret = keys.create(organization=other.organization, name="theirs")

    assert usage(client, Authorization=f"Bearer {secret}") == []


def test_nobody_sees_nothing(client: Client) -> None:
    response = client.get("/api/usage/")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["error"]["code"] == "not_authenticated"


def test_the_list_is_read_page_by_page_with_few_queries(
    tenant: Tenant, client: Client, django_assert_max_num_queries: Any
) -> None:
    alice = member(tenant.organization, "alice")
    for number in range(7):
        call(tenant, alice, request_id=str(number))
    client.force_login(alice)

    with django_assert_max_num_queries(4):
        first = client.get("/api/usage/?page_size=5").json()
    second = client.get(first["next"]).json()

    ids = [row["request_id"] for row in first["results"] + second["results"]]
    assert ids == ["6", "5", "4", "3", "2", "1", "0"]
    assert second["next"] is None


@pytest.mark.parametrize("position", ["p=garbage", "p=%00", "p=", "o=-1"])
def test_a_cursor_that_is_not_ours_is_refused(
    tenant: Tenant, client: Client, position: str
) -> None:
    _, secret = keys.create(organization=tenant.organization, name="Program")
    cursor = b64encode(position.encode()).decode()

    response = client.get(
        "/api/usage/", {"cursor": cursor}, headers={"authorization": f"Bearer {secret}"}
    )

    assert response.status_code in (200, 404)
