"""Reports in the display currency: each day's dollars at that day's rate, dollars in files."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Membership, User
from accounts.principal import Principal
from billing import currency
from billing.models import DisplayCurrency
from billing.reports import rollups
from tests.billing_support import Tenant, make_tenant
from tests.test_billing_reports import call, page, table

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_rates() -> Iterator[None]:
    currency.forget()
    yield
    currency.forget()


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("50")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    return client


def days_ago(days: int) -> date:
    return timezone.localdate() - timedelta(days=days)


def use_euro(**rates: str) -> None:
    """Enter rates: `d3="0.5"` is that of three days ago."""
    DisplayCurrency.objects.create(code="EUR", symbol="€")
    for name, rate in rates.items():
        day = days_ago(int(name.removeprefix("d")))
        currency.set_rate(code="EUR", day=day, rate=Decimal(rate), by=None)


def test_each_day_is_shown_at_its_own_rate_and_sums_are_sums_of_these(
    tenant: Tenant, staff: Client
) -> None:
    use_euro(d3="0.5", d1="2")
    call(tenant, "4", days=3, hold_usd="4")  # 2 euros
    call(tenant, "1", days=2, hold_usd="4")  # 0.50: the last rate known
    call(tenant, "3", days=1, hold_usd="4")  # 6

    shown = page(staff, period="7")

    assert '<strong title="$8.00">€8.50</strong>' in shown
    assert '<td class="money" title="$8.00">€8.50</td>' in shown  # the model's row
    for day, text in ((3, "€2.00 ($4.00)"), (2, "€0.50 ($1.00)"), (1, "€6.00 ($3.00)")):
        assert f"<title>{days_ago(day):%-d %b}: {text}</title>" in shown


def test_files_stay_in_dollars(tenant: Tenant, staff: Client) -> None:
    use_euro(d3="0.5")
    call(tenant, "4", days=1, hold_usd="4")

    (row,) = table(staff, "models", period="7")

    assert Decimal(row[1]) == 4


def test_days_without_a_rate_are_said(tenant: Tenant, staff: Client) -> None:
    use_euro(d9="0.5", d2="2")
    call(tenant, "1", days=1, hold_usd="4")

    shown = page(staff, period="7")

    assert "Amounts are in EUR, each day’s at the rate of that day" in shown
    assert "6 days have no rate of their own" in shown


def test_before_the_first_rate_dollars_are_shown(tenant: Tenant, staff: Client) -> None:
    use_euro(d2="2")
    call(tenant, "1", days=20, hold_usd="4")

    early = {"from": str(days_ago(25)), "to": str(days_ago(15))}
    shown = page(staff, **early)

    assert '<td class="money">$1.00</td>' in shown


def test_my_usage_and_budgets_are_shown_in_it_too(tenant: Tenant, client: Client) -> None:
    use_euro(d9="0.5")
    alice = User.objects.create_user("alice", password="secret")
    Membership.objects.create(organization=tenant.organization, user=alice)
    principal = Principal(tenant.organization.pk, user_id=alice.pk, user_name="alice")
    call(tenant, "4", principal=principal, hold_usd="4")
    rollups.catch_up()
    client.force_login(alice)

    shown = client.get("/usage/").content.decode()

    assert '<strong title="$4.00">€2.00</strong>' in shown
    assert ">€23.00</span>" in shown  # room on the budget
    assert ">€25.00</span>" in shown  # its limit
    assert f"at the rate of {days_ago(9)} ($1 was €0.5)" in shown


def test_a_program_may_ask_for_it_beside_dollars(tenant: Tenant, client: Client) -> None:
    use_euro(d9="0.5")
    alice = User.objects.create_user("alice", password="secret")
    Membership.objects.create(organization=tenant.organization, user=alice)
    principal = Principal(tenant.organization.pk, user_id=alice.pk, user_name="alice")
    call(tenant, "4", principal=principal, hold_usd="4")
    rollups.catch_up()
    client.force_login(alice)

    plain = client.get("/api/usage/summary/").json()
    euros = client.get("/api/usage/summary/?currency=EUR&group_by=model").json()
    wrong = client.get("/api/usage/summary/?currency=GBP")

    assert "currency" not in plain
    assert "cost_worth" not in plain["total"]
    assert euros["currency"] == "EUR"
    (row,) = euros["results"]
    assert (row["cost_usd"], row["cost_worth"]) == ("4.000000000000", "2.000000000000")
    assert euros["total"]["together_worth"] == "2.000000000000"
    assert wrong.status_code == 400
    assert wrong.json()["error"]["param"] == "currency"
    assert "USD or EUR" in wrong.json()["error"]["message"]
