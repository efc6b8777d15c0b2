"""The dashboard in the admin: right figures, every filter, a table as a file, and for whom."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.principal import Principal
from billing.entries import Hit, Hold, Settle
from billing.models import Outcome, UsageRecord
from billing.pricing import TokenUsage
from billing.reports import rollups
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/billing/dashboard/"


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("5")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    return client


def call(tenant: Tenant, cost_usd: str | None = "0.03", *, days: int = 0, **changes: Any) -> None:
    """Make one call, so many days ago."""
    ending = {name: changes.pop(name) for name in ("outcome", "error_class") if name in changes}
    made = attempt(tenant, **changes)
    book(Hold(made))
    moment = timezone.now() - timedelta(days=days)
    UsageRecord.objects.filter(pk=made.id).update(started_at=moment)
    book(Settle(settlement(made, cost_usd, **ending)))


def page(client: Client, **query: str) -> str:
    rollups.catch_up()
    response = client.get(PAGE, query)
    assert response.status_code == 200, response.content.decode()[:2000]
    return response.content.decode()


def table(client: Client, name: str, **query: str) -> list[list[str]]:
    rollups.catch_up()
    response = client.get(PAGE, {"csv": name, **query})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    lines = response.content.decode().split("\r\n")
    return [line.split(",") for line in lines[1:] if line]


def test_an_empty_installation_says_so(staff: Client) -> None:
    assert "Nothing was asked in this span" in page(staff)


def test_the_page_shows_what_was_spent_by_whom_on_what(tenant: Tenant, staff: Client) -> None:
    alice = Principal(tenant.organization.pk, user_id=7, user_name="alice")
    call(tenant, "0.03", principal=alice, prompt_name="triage", prompt_version=3)
    call(tenant, "0.04")

    shown = page(staff)

    for words in ("$0.07", "alice", "triage v3", "model-1 · acme", "Monthly"):
        assert words in shown


def test_the_dearest_model_comes_first_with_its_exact_sum(tenant: Tenant, staff: Client) -> None:
    call(tenant, "0.000000000001", model_served="small")
    for _ in range(2):
        call(tenant, "0.05", model_served="large")

    rows = table(staff, "models")

    assert [row[:2] for row in rows] == [
        ["large · acme", "0.100000000000"],
        ["small · acme", "0.000000000001"],
    ]


@pytest.mark.parametrize(
    ("name", "value", "changes"),
    [
        ("surface", "chat", {"surface": "chat"}),
        ("prompt", "triage", {"prompt_name": "triage", "prompt_version": 1}),
        ("version", "4", {"prompt_name": "other", "prompt_version": 4}),
        ("tag", "team-a", {"tags": ("b", "team-a")}),
        ("provider", "openai", {"provider": "openai"}),
        ("user", "alice", {"user": "alice"}),
        ("key", "pk-8", {"key": "pk-8"}),
        ("outcome", "failed", {"outcome": Outcome.FAILED, "error_class": "Timeout"}),
        ("error", "Timeout", {"outcome": Outcome.FAILED, "error_class": "Timeout"}),
    ],
)
def test_every_dimension_filters(
    tenant: Tenant, staff: Client, name: str, value: str, changes: dict[str, Any]
) -> None:
    if "user" in changes:
        person = Principal(tenant.organization.pk, user_id=7, user_name=changes.pop("user"))
        changes["principal"] = person
    if "key" in changes:
        program = Principal(tenant.organization.pk, api_key_id=8, api_key_prefix=changes.pop("key"))
        changes["principal"] = program
    call(tenant, "0.05", **changes)
    call(tenant, "0.02")

    rows = table(staff, "surfaces", **{name: value})

    assert sum(Decimal(row[1]) for row in rows) == Decimal("0.05")
    assert "Remove the filter" in page(staff, **{name: value})


def test_a_cache_hit_is_no_error_and_saves(tenant: Tenant, staff: Client) -> None:
    made = attempt(tenant, is_cache_hit=True)
    hit = settlement(made, "0", saved_usd=Decimal("0.25"))
    book(Hit(made, hit))
    call(tenant)

    shown = page(staff)

    assert "50.0%" in shown
    assert "$0.25 saved" in shown
    assert table(staff, "surfaces", cache="hit")[0][5] == "1"


def test_a_call_with_two_tags_counts_for_each(tenant: Tenant, staff: Client) -> None:
    call(tenant, "0.03", tags=["blue", "red"])
    call(tenant, "0.02", tags=["red"])
    call(tenant, "0.05")

    rows = {row[0]: Decimal(row[1]) for row in table(staff, "tags")}

    assert rows == {"red": Decimal("0.05"), "blue": Decimal("0.03")}
    (models,) = table(staff, "models")
    assert Decimal(models[1]) == Decimal("0.10")
    assert "A call with two tags counts for each" in page(staff)
    assert {row[0] for row in table(staff, "tags", tag="blue")} == {"blue", "red"}


def test_growth_compares_with_as_many_days_before(tenant: Tenant, staff: Client) -> None:
    call(tenant, "0.02", days=8, provider="openai")
    call(tenant, "0.05", days=1, provider="openai")
    call(tenant, "0.01", days=40, provider="older")

    rows = table(staff, "growth", period="7")

    assert [row[2:] for row in rows if row[1] == "Model"] == [
        ["0.020000000000", "0.050000000000", "0.030000000000", "1.5"]
    ]


def test_today_is_shown_by_the_hour(tenant: Tenant, staff: Client) -> None:
    call(tenant, "0.05")

    rows = table(staff, "time", period="today")

    assert sum(Decimal(row[1]) for row in rows) == Decimal("0.05")
    assert "T" in rows[0][0]


def test_a_table_has_no_formula_in_it(tenant: Tenant, staff: Client) -> None:
    call(tenant, surface="=1+1")

    assert table(staff, "surfaces")[0][0] == "'=1+1"


def test_names_are_shown_as_text(tenant: Tenant, staff: Client) -> None:
    call(tenant, provider="<script>alert(1)</script>")

    assert "<script>alert" not in page(staff)


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-02-30"},
        {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "1990-01-01", "to": "2020-01-01"},
        {"period": "aeon"},
        {"organization": "x"},
        {"cache": "maybe"},
        {"user": "a\0b"},
    ],
)
def test_what_cannot_be_is_said_and_not_guessed(staff: Client, query: dict[str, str]) -> None:
    response = staff.get(PAGE, query)

    assert response.status_code == 400
    assert "Shown are the last 30 days" in response.content.decode()


def test_it_is_for_staff_who_may_view_it(client: Client) -> None:
    clerk = User.objects.create_user("clerk", password="secret", is_staff=True)
    client.force_login(clerk)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/admin/").content.decode()

    clerk.user_permissions.add(Permission.objects.get(codename="view_dashboard"))
    client.force_login(User.objects.get(pk=clerk.pk))

    assert client.get(PAGE).status_code == 200
    assert PAGE in client.get("/admin/").content.decode()


def test_tokens_are_shown_by_class(tenant: Tenant, staff: Client) -> None:
    made = attempt(tenant)
    book(Hold(made))
    usage = TokenUsage(10, 20, 30, 40, 50, 60, 70)
    book(Settle(settlement(made, usage=usage)))

    counts = [row[1] for row in table(staff, "tokens")]
    assert counts == ["10", "20", "30", "40", "50", "60", "70", "0", "0", "0"]


def test_the_records_behind_the_figures_are_a_link_away(tenant: Tenant, staff: Client) -> None:
    call(tenant, surface="chat", request_id="this-one")
    call(tenant, surface="api", request_id="another")
    shown = page(staff, surface="chat")
    link = shown.split('<a href="/admin/billing/usagerecord/')[1].split('"')[0]

    records = staff.get("/admin/billing/usagerecord/" + link.replace("&amp;", "&"))

    assert records.status_code == 200
    assert [record.request_id for record in records.context["cl"].result_list] == ["this-one"]
