"""What corrections have added is in every report: beside what calls have cost, and together."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from accounts.models import Membership, User
from accounts.principal import Principal
from billing.corrections import posting
from billing.models import Adjustment
from billing.reports import rollups
from tests.billing_support import Tenant, make_tenant
from tests.test_billing_reports import call, page, table

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("5")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    return client


def adjust(organization: Any, amount_usd: str, *, posted: bool = True, **values: Any) -> None:
    """Post a correction, or only propose it."""
    ann, _ = User.objects.get_or_create(username="ann")
    bob, _ = User.objects.get_or_create(username="bob")
    made = {"organization": organization, "day": timezone.localdate()}
    row = Adjustment(amount_usd=Decimal(amount_usd), **{**made, **values})
    correction = posting.propose(by=ann, reason="The invoice.", adjustments=[row])
    if posted:
        posting.post(correction, by=bob)


def amounts(rows: list[list[str]]) -> dict[str, list[Decimal]]:
    """Return what was spent, adjusted, and both together, by the row's name."""
    return {row[0]: [Decimal(value) for value in row[1:4]] for row in rows}


def three(*values: str) -> list[Decimal]:
    return [Decimal(value) for value in values]


def test_an_adjustment_is_where_it_belongs_beside_what_was_spent(
    tenant: Tenant, staff: Client
) -> None:
    call(tenant, "0.03", prompt_name="triage", prompt_version=3)
    call(tenant, "0.04", model_served="other")
    named: dict[str, Any] = {"provider": "acme", "model_served": "model-1", "prompt_name": "triage"}
    adjust(tenant.organization, "0.05", tags=["blue"], **named)
    adjust(tenant.organization, "-0.01")

    models = amounts(table(staff, "models"))

    assert models["model-1 · acme"] == three("0.03", "0.05", "0.08")
    assert models["other · acme"] == three("0.04", "0", "0.04")
    assert models["No model"] == three("0", "-0.01", "-0.01")
    prompts = amounts(table(staff, "prompts"))
    assert prompts["triage v3"] == three("0.03", "0", "0.03")
    assert prompts["triage"] == three("0", "0.05", "0.05")
    assert amounts(table(staff, "tags"))["blue"] == three("0", "0.05", "0.05")
    (organization,) = amounts(table(staff, "organizations")).values()
    assert organization == three("0.07", "0.04", "0.11")
    shown = page(staff)
    for words in ("Together", "+$0.04", "$0.11", "Corrections (of no surface)"):
        assert words in shown


def test_each_table_by_one_dimension_adds_up_to_the_whole(tenant: Tenant, staff: Client) -> None:
    call(tenant, "0.03")
    adjust(tenant.organization, "0.05", user_name="alice", user_id=7)
    adjust(tenant.organization, "0.02", api_key_prefix="pk-8")

    for name in ("models", "prompts", "people", "keys", "organizations", "surfaces", "time"):
        rows = amounts(table(staff, name, period="7"))
        total = [sum(column) for column in zip(*rows.values(), strict=True)]
        assert total == three("0.03", "0.07", "0.10"), name


def test_what_is_only_proposed_is_in_no_report(tenant: Tenant, staff: Client) -> None:
    call(tenant, "0.03")
    adjust(tenant.organization, "0.05", posted=False)

    shown = page(staff)

    assert "Together" not in shown
    assert amounts(table(staff, "models"))["model-1 · acme"] == three("0.03", "0", "0.03")


def test_days_without_calls_show_their_adjustments(tenant: Tenant, staff: Client) -> None:
    adjust(tenant.organization, "0.05", day=date(2026, 3, 2))

    march = {"from": "2026-03-01", "to": "2026-03-20"}

    assert "+$0.05" in page(staff, **march)
    assert amounts(table(staff, "time", **march))["2026-03-02"] == three("0", "0.05", "0.05")
    assert "Nothing was asked" in page(staff, **{"from": "2026-03-03", "to": "2026-03-04"})


def test_a_filter_that_adjustments_do_not_have_leaves_them_out_and_says_so(
    tenant: Tenant, staff: Client
) -> None:
    call(tenant, "0.03", surface="chat", provider="acme")
    adjust(tenant.organization, "0.05", provider="acme")

    assert "Corrections have no surface: they are not in these figures." in page(
        staff, surface="chat"
    )
    assert amounts(table(staff, "surfaces", surface="chat"))["chat"] == three("0.03", "0", "0.03")
    assert "Corrections have no" not in page(staff, provider="acme")
    assert "+$0.05" in page(staff, provider="acme")


@override_settings(TIME_ZONE="America/New_York")
def test_a_moment_counts_on_its_day_here_and_a_day_on_itself(tenant: Tenant, staff: Client) -> None:
    late = datetime(2026, 3, 3, 2, tzinfo=UTC)  # the evening before, in New York
    adjust(tenant.organization, "0.05", day=late.date(), at=late)
    adjust(tenant.organization, "0.02", day=late.date())

    by_day = amounts(table(staff, "time", **{"from": "2026-03-01", "to": "2026-03-09"}))
    by_hour = amounts(table(staff, "time", **{"from": "2026-03-02", "to": "2026-03-03"}))

    assert by_day["2026-03-02"] == three("0", "0.05", "0.05")
    assert by_day["2026-03-03"] == three("0", "0.02", "0.02")
    assert by_hour["2026-03-02T21:00:00-05:00"] == three("0", "0.05", "0.05")
    assert by_hour["2026-03-03T00:00:00-05:00"] == three("0", "0.02", "0.02")


def test_people_and_their_programs_see_what_was_adjusted_of_theirs(client: Client) -> None:
    alice = User.objects.create_user("alice", password="secret")
    tenant = make_tenant("5")
    organization = tenant.organization
    Membership.objects.create(organization=organization, user=alice)
    principal = Principal(organization.pk, user_id=alice.pk, user_name="alice")
    call(tenant, "0.03", principal=principal)
    adjust(organization, "0.05", user_id=alice.pk, user_name="alice", provider="acme")
    adjust(organization, "0.09", user_id=alice.pk + 1000, user_name="bob")
    adjust(organization, "0.11")
    rollups.catch_up()
    client.force_login(alice)

    mine = client.get("/usage/").content.decode()
    summary = client.get("/api/usage/summary/?group_by=surface").json()

    assert "+$0.05 of it by corrections" in mine
    assert "$0.08" in mine
    total = summary["total"]
    assert [total[name] for name in ("cost_usd", "adjusted_usd", "together_usd")] == [
        "0.030000000000",
        "0.050000000000",
        "0.080000000000",
    ]
    by_surface = {row["surface"]: row["adjusted_usd"] for row in summary["results"]}
    assert by_surface == {"test": "0.000000000000", None: "0.050000000000"}
    lines = client.get("/api/usage/summary/?format=csv").content.decode().splitlines()
    assert "adjusted_usd" in lines[0]
    assert "0.080000000000" in lines[1]
