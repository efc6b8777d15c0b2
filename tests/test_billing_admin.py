"""Staff read the books, add prices and set limits; the books themselves they cannot touch."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import keys
from accounts.models import Organization, User
from billing import ledger_writer, prices
from billing.entries import Hold, Settle
from billing.models import Budget, Price, UsageRecord
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db

NO_TIERS = {"tiers-TOTAL_FORMS": "0", "tiers-INITIAL_FORMS": "0"}


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("5.00")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    return client


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:billing_{name}", args=args)


def call(tenant: Tenant, cost_usd: str = "0.0123", **changes: Any) -> UsageRecord:
    """Make one paid call."""
    made = attempt(tenant, "0.10", **changes)
    for entry in (Hold(made), Settle(settlement(made, cost_usd))):
        book(entry)
    return UsageRecord.objects.get(pk=made.id)


def budget_form(organization: Organization, **more: Any) -> dict[str, Any]:
    form = {
        "name": "Team",
        "limit_usd": "20",
        "is_hard": "on",
        "is_active": "on",
        "organization": organization.pk,
        "user": "",
        "api_key": "",
        "period": "month",
        "time_zone": "UTC",
        "periods-TOTAL_FORMS": "0",
        "periods-INITIAL_FORMS": "0",
    }
    return {**form, **more}


def test_a_usage_record_tells_who_what_when_and_how_much(staff: Client, tenant: Tenant) -> None:
    record = call(tenant, prompt_name="chat-system", prompt_version=2)

    listed = staff.get(page("usagerecord_changelist")).content.decode()
    detail = staff.get(page("usagerecord_change", record.pk)).content.decode()

    for shown in ("chat-system v2", "model-1", "$0.0123", "Success"):
        assert shown in listed
        assert shown in detail
    assert "input $1.00, output $4.00" in detail
    assert "Monthly from " in detail
    assert "Save" not in detail


def test_a_record_is_found_by_its_request_id(staff: Client, tenant: Tenant) -> None:
    call(tenant, request_id="order-7")
    call(tenant, request_id="order-8")

    found = staff.get(page("usagerecord_changelist"), {"q": "order-7"}).context["cl"]

    assert [record.request_id for record in found.queryset] == ["order-7"]


@pytest.mark.parametrize("name", ["usagerecord", "price"])
def test_history_is_neither_changed_nor_deleted(staff: Client, tenant: Tenant, name: str) -> None:
    prices.set_price(provider="acme", model="m", input_usd=Decimal(1), output_usd=Decimal(2))
    rows: dict[str, Any] = {"usagerecord": call(tenant), "price": Price.objects.get()}

    for action in ("change", "delete"):
        assert staff.post(page(f"{name}_{action}", rows[name].pk), {}).status_code == 403


def test_a_record_cannot_be_added_by_hand(staff: Client) -> None:
    assert staff.get(page("usagerecord_add")).status_code == 403


def test_adding_a_price_ends_the_one_before(staff: Client) -> None:
    first = prices.set_price(
        provider="acme", model="m", input_usd=Decimal(1), output_usd=Decimal(2)
    )
    form = {"provider": "acme", "model": "m", "input_usd": "0.15", "output_usd": "0.6", **NO_TIERS}

    staff.post(page("price_add"), form)

    added = Price.objects.get(valid_to=None)
    first.refresh_from_db()
    assert first.valid_to == added.valid_from
    assert (added.input_usd, added.output_usd) == (Decimal("0.15"), Decimal("0.6"))
    assert added.source == "admin, boss"
    assert "$0.15" in staff.get(page("price_changelist")).content.decode()


def test_a_negative_price_is_refused_at_the_field(staff: Client) -> None:
    form = {"provider": "acme", "model": "m", "input_usd": "-1", "output_usd": "1", **NO_TIERS}

    response = staff.post(page("price_add"), form)

    assert list(response.context["adminform"].errors) == ["input_usd"]
    assert not Price.objects.exists()


def test_a_budget_shows_what_is_spent_held_and_left(staff: Client, tenant: Tenant) -> None:
    call(tenant, "1.25")
    ledger_writer.write([Hold(attempt(tenant, "0.50"))])

    for address in (page("budget_changelist"), page("budget_change", tenant.budget.pk)):
        shown = staff.get(address).content.decode()
        assert all(amount in shown for amount in ("$1.25", "$0.50", "$3.25"))


def test_a_limit_is_changed_and_whose_it_is_stays(staff: Client, tenant: Tenant) -> None:
    other = make_tenant().organization
    form = budget_form(other, limit_usd="0.5", period="day")

    response = staff.post(page("budget_change", tenant.budget.pk), form)

    assert response.status_code == 302
    budget = Budget.objects.get(pk=tenant.budget.pk)
    assert budget.limit_usd == Decimal("0.5")
    assert (budget.organization, budget.period) == (tenant.organization, "month")


def test_a_budget_is_added(staff: Client, tenant: Tenant) -> None:
    assert staff.get(page("budget_add")).status_code == 200

    staff.post(page("budget_add"), budget_form(tenant.organization))

    assert Budget.objects.get(name="Team").limit_usd == 20


def test_a_budget_that_could_never_count_is_refused(staff: Client, tenant: Tenant) -> None:
    stranger = User.objects.create(username="stranger")
    key, _ = keys.create(organization=make_tenant().organization, name="job")

    for wrong in ({"user": stranger.pk}, {"api_key": key.pk}, {"time_zone": "Moon/Tycho"}):
        response = staff.post(page("budget_add"), budget_form(tenant.organization, **wrong))
        assert set(response.context["adminform"].errors) == set(wrong)


def test_every_list_takes_the_same_queries_whatever_its_length(
    staff: Client, tenant: Tenant, a_second_later: Callable[[], None]
) -> None:
    def queries(name: str) -> int:
        a_second_later()  # nothing is remembered of the page before
        with CaptureQueriesContext(connection) as captured:
            assert staff.get(page(f"{name}_changelist")).status_code == 200
        return len(captured)

    def add(number: int) -> None:
        other = make_tenant(user=User.objects.create(username=f"u{number}"))
        call(other)
        prices.set_price(
            provider="acme", model=f"m{number}", input_usd=Decimal(1), output_usd=Decimal(2)
        )

    names = ["usagerecord", "price", "budget"]
    add(0)
    few = list(map(queries, names))
    for number in range(1, 15):
        add(number)

    assert list(map(queries, names)) == few


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("5", "$5.00"),
        ("1234.5678", "$1,234.57"),
        ("0.5", "$0.50"),
        ("0.12345", "$0.1234"),
        ("0.0012", "$0.0012"),
        ("0.000001234", "$0.0000012"),
        ("1E-12", "$0.000000000001"),
        ("-2.5", "$-2.50"),
    ],
)
def test_money_is_shown_with_the_digits_that_count(amount: str, shown: str) -> None:
    from billing.money import as_text

    assert as_text(Decimal(amount)) == shown
