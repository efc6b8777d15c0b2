"""Staff propose corrections, compare bills, and post what somebody else has proposed."""

from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import prices
from billing.corrections import posting
from billing.entries import Hold, Settle
from billing.models import (
    Adjustment,
    Correction,
    CorrectionState,
    DisplayCurrency,
    ExchangeRate,
)
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db


def today() -> date:
    return timezone.now().astimezone(UTC).date()


@pytest.fixture
def ann(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ann", password="secret"))
    return client


@pytest.fixture
def bob() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("bob", password="secret"))
    return client


@pytest.fixture
def tenant() -> Tenant:
    """A tenant with one call that cost 0.0012, at a price that has doubled since."""
    made = make_tenant("5")
    call = attempt(made, "0.20")
    for entry in (Hold(call), Settle(settlement(call, "0.0012"))):
        book(entry)
    prices.set_price(provider="acme", model="model-1", input_usd=Decimal(2), output_usd=Decimal(8))
    return made


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:billing_{name}", args=args)


def form(tenant: Tenant, **more: Any) -> dict[str, Any]:
    values = {
        "reason": "The bill says so.",
        "amount_usd": "1.50",
        "day": today().isoformat(),
        "organization": tenant.organization.pk,
    }
    return {**values, **more}


def test_one_proposes_and_another_posts(ann: Client, bob: Client, tenant: Tenant) -> None:
    ann.post(page("correction_add"), form(tenant))
    correction = Correction.objects.get()
    detail = ann.get(page("correction_change", correction.pk)).content.decode()
    assert "somebody else has to post it" in detail
    assert tenant.period.spent_usd == Decimal("0.0012")

    ann.post(page("correction_post", correction.pk))
    assert Correction.objects.get().state == CorrectionState.PROPOSED

    bob.post(page("correction_post", correction.pk))
    assert Correction.objects.get().state == CorrectionState.POSTED
    assert tenant.period.spent_usd == Decimal("1.5012")
    listed = ann.get(page("correction_changelist")).content.decode()
    assert "+$1.50" in listed
    assert "Posted" in listed


def test_what_is_proposed_may_be_withdrawn(ann: Client, tenant: Tenant) -> None:
    ann.post(page("correction_add"), form(tenant))

    ann.post(page("correction_decline", Correction.objects.get().pk))

    assert Correction.objects.get().state == CorrectionState.DECLINED
    assert (
        "Post</button>"
        not in ann.get(page("correction_change", Correction.objects.get().pk)).content.decode()
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"amount_usd": "0"}, "more or less than nothing"),
        ({"day": "soon"}, "Enter a valid date"),
        ({"reason": " "}, "This field is required"),
    ],
)
def test_a_wrong_adjustment_is_explained(
    ann: Client, tenant: Tenant, wrong: dict[str, str], words: str
) -> None:
    answer = ann.post(page("correction_add"), form(tenant, **wrong)).content.decode()

    assert words in answer
    assert not Correction.objects.exists()


def test_a_person_of_another_organization_is_refused(ann: Client, tenant: Tenant) -> None:
    stranger = User.objects.create_user("stranger")

    answer = ann.post(page("correction_add"), form(tenant, user=stranger.pk)).content.decode()

    assert "not a member of the organization" in answer


def days(**more: Any) -> dict[str, Any]:
    first = (today() - timedelta(days=1)).isoformat()
    return {"provider": "acme", "first": first, "last": today().isoformat(), **more}


def test_other_prices_are_shown_first_and_then_proposed(
    ann: Client, bob: Client, tenant: Tenant
) -> None:
    shown = ann.get(page("correction_rerate"), days()).content.decode()
    assert "+$0.0012" in shown
    assert not Correction.objects.exists()

    ann.post(page("correction_rerate"), days(reason="Doubled"))
    bob.post(page("correction_post", Correction.objects.get().pk))

    assert tenant.period.spent_usd == Decimal("0.0024")
    assert "Nothing would change" in ann.get(page("correction_rerate"), days()).content.decode()


def test_a_proposal_wants_a_reason(ann: Client, tenant: Tenant) -> None:
    answer = ann.post(page("correction_rerate"), days(reason=" ")).content.decode()

    assert "Say why" in answer
    assert not Correction.objects.exists()


def test_days_in_the_wrong_order_are_refused(ann: Client, tenant: Tenant) -> None:
    answer = ann.get(page("correction_rerate"), days(last="2001-01-01")).content.decode()

    assert "before the first day" in answer


def upload(client: Client, content: str) -> str:
    file = SimpleUploadedFile("costs.csv", content.encode())
    answer = client.post(page("correction_reconcile"), {"provider": "acme", "file": file})
    return answer.content.decode()


HEADER = "start_time,start_time_iso,amount_value,amount_currency,line_item"


def test_a_bill_is_compared_and_a_difference_leads_to_an_adjustment(
    ann: Client, tenant: Tenant
) -> None:
    shown = upload(ann, f'{HEADER}\n0,{today()}T00:00:00+00:00,0.5,usd,"model-2, output"\n')

    assert "Not ours" in shown
    assert "Not in the export" in shown
    assert f"day={today()}&amp;amount_usd=0.5" in shown
    begun = ann.get(page("correction_add"), {"amount_usd": "0.5", "day": "2026-11-03"})
    assert 'value="0.5"' in begun.content.decode()
    assert not Adjustment.objects.exists()


def test_a_wrong_file_is_explained_with_its_line(ann: Client, tenant: Tenant) -> None:
    shown = upload(ann, f"{HEADER}\n0,{today()},much,usd,x\n")

    assert "Line 2: &#x27;much&#x27; is not an amount." in shown


def test_words_of_a_file_are_no_markup(ann: Client, tenant: Tenant) -> None:
    shown = upload(ann, f'{HEADER}\n0,{today()},1,usd,"<script>x</script>, output"\n')

    assert "<script>x" not in shown
    assert "&lt;script&gt;x" in shown


def test_without_permission_there_is_nothing(client: Client, tenant: Tenant) -> None:
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_correction"))
    client.force_login(reader)
    row = Adjustment(organization=tenant.organization, day=today(), amount_usd=Decimal(1))
    boss = User.objects.create_user("boss")
    waiting = posting.propose(by=boss, reason="Bill", adjustments=[row])

    statuses = [
        client.get(page("correction_changelist")).status_code,
        client.get(page("correction_reconcile")).status_code,
        client.get(page("correction_add")).status_code,
        client.get(page("correction_rerate")).status_code,
        client.post(page("correction_post", waiting.pk)).status_code,
        client.post(page("correction_decline", waiting.pk)).status_code,
    ]

    assert statuses == [200, 200, 403, 403, 403, 403]
    assert Correction.objects.get().state == CorrectionState.PROPOSED


def test_the_list_asks_as_often_for_many_as_for_one(ann: Client, tenant: Tenant) -> None:
    def propose() -> None:
        row = Adjustment(organization=tenant.organization, day=today(), amount_usd=Decimal(1))
        user = User.objects.create_user(f"user-{Correction.objects.count()}")
        posting.propose(by=user, reason="Bill", adjustments=[row])

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert ann.get(page("correction_changelist")).status_code == 200
        return len(seen)

    propose()
    few = queries()
    for _ in range(4):
        propose()

    assert queries() == few


def test_rates_are_entered_in_the_admin(ann: Client) -> None:
    ann.post(page("displaycurrency_add"), {"code": "EUR", "symbol": "€"})
    day = timezone.now().astimezone(UTC).date()
    ann.post(page("exchangerate_add"), {"code": "EUR", "day": day, "rate": "0.92", "source": "ECB"})

    assert ExchangeRate.objects.get().entered_by == User.objects.get(username="ann")
    listed = ann.get(page("displaycurrency_changelist")).content.decode()
    assert f"0.92, of {day}" in listed
    assert ann.get(page("displaycurrency_add")).status_code == 302  # to the one there is
    ann.post(page("displaycurrency_add"), {"code": "CHF", "symbol": "Fr"})
    assert DisplayCurrency.objects.get().code == "EUR"
