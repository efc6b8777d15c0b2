"""`/api/usage/summary/` and "My usage": each sees their own, added up by any dimension."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import keys
from accounts.models import Membership, User
from accounts.services import principal_for
from billing.entries import Hold, Settle
from billing.models import Budget, UsageRecord
from billing.reports import rollups
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)

SUMMARY = "/api/usage/summary/"


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("5")


@pytest.fixture
def alice(tenant: Tenant) -> User:
    return member(tenant, "alice")


def member(tenant: Tenant, name: str) -> User:
    user = User.objects.create_user(name, password="a long password")
    Membership.objects.create(organization=tenant.organization, user=user)
    return user


def call(tenant: Tenant, user: User, cost_usd: str = "0.03", days: int = 0, **changes: Any) -> None:
    """Make one paid call of a person, so many days ago."""
    made = attempt(tenant, principal=principal_for(user), **changes)
    book(Hold(made))
    moment = timezone.now() - timedelta(days=days)
    UsageRecord.objects.filter(pk=made.id).update(started_at=moment)
    book(Settle(settlement(made, cost_usd, ttft_ms=100)))


def summary(client: Client, status: int = 200, **query: str) -> Any:
    rollups.catch_up()
    response = client.get(SUMMARY, query)
    assert response.status_code == status
    return response.json()


def test_everything_of_ones_own_is_one_exact_row(
    tenant: Tenant, alice: User, client: Client
) -> None:
    call(tenant, alice, "0.000000000001")
    call(tenant, alice, "0.03")
    call(tenant, member(tenant, "bob"), "0.5")
    client.force_login(alice)

    found = summary(client)

    assert found["total"]["cost_usd"] == "0.030000000001"
    assert found["total"]["attempts"] == 2
    assert found["results"] == [found["total"]]
    assert 100 / 2**0.5 <= found["total"]["ttft_ms"]["p95"] <= 100 * 2**0.5


def test_groups_may_be_combined(tenant: Tenant, alice: User, client: Client) -> None:
    call(tenant, alice, "0.01", days=1, tags=("b", "a"))
    call(tenant, alice, "0.02", days=1, model_served="other")
    call(tenant, alice, "0.03")
    client.force_login(alice)

    rows = summary(client, group_by="day,model")["results"]
    tags = summary(client, group_by="tag")["results"]

    today = timezone.localdate()
    assert [(row["day"], row["model"], Decimal(row["cost_usd"])) for row in rows] == [
        (str(today - timedelta(days=1)), "model-1", Decimal("0.01")),
        (str(today - timedelta(days=1)), "other", Decimal("0.02")),
        (str(today), "model-1", Decimal("0.03")),
    ]
    assert [row["tag"] for row in tags] == ["a", "b"]


def test_a_filter_and_a_span_leave_the_rest_out(
    tenant: Tenant, alice: User, client: Client
) -> None:
    call(tenant, alice, "0.01", days=20)
    call(tenant, alice, "0.02", prompt_name="triage", prompt_version=1)
    call(tenant, alice, "0.04")
    client.force_login(alice)

    of_prompt = summary(client, prompt="triage")
    of_week = summary(client, period="7")
    without_prompt = summary(client, prompt="-")

    assert Decimal(of_prompt["total"]["cost_usd"]) == Decimal("0.02")
    assert of_prompt["filters"] == {"prompt": "triage"}
    assert Decimal(of_week["total"]["cost_usd"]) == Decimal("0.06")
    assert Decimal(without_prompt["total"]["cost_usd"]) == Decimal("0.05")


def test_it_comes_as_a_table_too(tenant: Tenant, alice: User, client: Client) -> None:
    call(tenant, alice, "0.03")
    client.force_login(alice)
    rollups.catch_up()

    response = client.get(SUMMARY, {"group_by": "model", "format": "csv"})

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    head, row, *_ = response.content.decode().split("\r\n")
    cells = dict(zip(head.split(","), row.split(","), strict=True))
    assert cells["model"] == "model-1"
    assert cells["cost_usd"] == "0.030000000000"
    assert cells["ttft_ms_p95"]


@pytest.mark.parametrize("verb", ["get", "options"])
def test_what_is_no_table_is_json_where_a_table_was_asked_for(
    tenant: Tenant, alice: User, client: Client, verb: str
) -> None:
    client.force_login(alice)

    response = getattr(client, verb)(f"{SUMMARY}?format=csv&group_by=nothing")

    assert response.status_code == (400 if verb == "get" else 200)
    assert response["Content-Type"] == "application/json"
    assert response.json()


def test_a_key_of_a_program_sees_what_the_key_has_used(tenant: Tenant, client: Client) -> None:
    _, secret = keys.create(organization=tenant.organization, name="job")
    call(tenant, member(tenant, "alice"))

    response = client.get(SUMMARY, headers={"Authorization": f"Bearer {secret}"})

    assert response.json()["results"] == []


def test_nobody_sees_nothing(client: Client) -> None:
    assert client.get(SUMMARY).status_code == 401
    assert client.get("/usage/").status_code == 302


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-03-02", "to": "2026-03-01"}, "from"),
        ({"group_by": "colour"}, "group_by"),
        ({"group_by": "model,model"}, "group_by"),
        ({"group_by": "day,hour"}, "group_by"),
        ({"group_by": "hour", "from": "2026-01-01", "to": "2026-10-01"}, "group_by"),
        ({"form": "2026-03-01"}, "form"),
        ({"cache": "maybe"}, "cache"),
    ],
)
def test_what_is_wrong_is_named(
    alice: User, client: Client, query: dict[str, str], param: str
) -> None:
    client.force_login(alice)

    error = summary(client, 400, **query)["error"]

    assert (error["code"], error["param"]) == ("invalid_request", param)


def test_my_usage_is_mine_with_my_budgets(tenant: Tenant, alice: User, client: Client) -> None:
    bob = member(tenant, "bob")
    call(tenant, alice, "0.03", model_served="her-model")
    call(tenant, bob, "0.5", model_served="his-model")
    for user, name in ((alice, "Her own"), (bob, "His own")):
        Budget.objects.create(
            organization=tenant.organization, user=user, name=name, limit_usd=Decimal(2)
        )
    rollups.catch_up()
    client.force_login(alice)

    response = client.get("/usage/")

    shown = response.content.decode()
    assert response.status_code == 200
    assert "her-model" in shown
    assert "his-model" not in shown
    assert "$0.03" in shown
    assert "$0.53" in shown  # of the organization's budget, which all share
    assert "Her own" in shown
    assert "His own" not in shown
    assert {"no-store", "private"} <= set(response["Cache-Control"].split(", "))


def test_my_usage_is_empty_before_the_first_question(alice: User, client: Client) -> None:
    client.force_login(alice)

    assert "You asked nothing in this span" in client.get("/usage/").content.decode()
    assert client.get("/usage/", {"from": "x"}).status_code == 400


def test_my_usage_comes_as_a_table(tenant: Tenant, alice: User, client: Client) -> None:
    call(tenant, alice, "0.03")
    rollups.catch_up()
    client.force_login(alice)

    response = client.get("/usage/", {"csv": "models"})

    assert response["Content-Disposition"].startswith('attachment; filename="parley-my-models')
    assert "model-1 · acme,0.030000000000" in response.content.decode()


def test_who_belongs_to_nobody_is_told(client: Client) -> None:
    client.force_login(User.objects.create_user("lonely", password="secret"))

    assert client.get("/usage/").status_code == 403
