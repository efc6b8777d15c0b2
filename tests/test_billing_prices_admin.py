"""Staff add prices, try them on calls, decide about proposals, and find what has no price."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from billing import prices
from billing.entries import Hold, Settle
from billing.models import Price, PriceProposal, ProposalState, UsageRecord
from billing.price_json import price_to_json
from billing.pricing import PriceSnapshot, Tier, TokenUsage
from tests.billing_support import attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db

FLEX = Tier(input_usd=Decimal("0.5"), output_usd=Decimal(2), service_tier="flex")
LONG = Tier(input_usd=Decimal(2), output_usd=Decimal(6), above_tokens=200_000)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    return client


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:billing_{name}", args=args)


def price_form(*tiers: dict[str, str], **more: str) -> dict[str, str]:
    form = {"provider": "acme", "model": "m", "input_usd": "1", "output_usd": "4"}
    form |= {"tiers-TOTAL_FORMS": str(len(tiers)), "tiers-INITIAL_FORMS": "0"}
    for number, tier in enumerate(tiers):
        form |= {f"tiers-{number}-{name}": value for name, value in tier.items()}
    return form | more


def tier_form(service_tier: str, above: str, input_usd: str, output_usd: str) -> dict[str, str]:
    rates = {"input_usd": input_usd, "output_usd": output_usd}
    return {"service_tier": service_tier, "above_tokens": above, **rates}


def propose(input_usd: str, model: str = "m") -> PriceProposal:
    price = PriceSnapshot(Decimal(input_usd), Decimal(4), tiers=(FLEX,))
    return PriceProposal.objects.create(
        provider="acme",
        model=model,
        source="genai-prices",
        proposed=price_to_json(price),
        warnings=["Beware of audio."],
    )


def test_a_price_is_added_with_its_tiers(staff: Client) -> None:
    tiers = (tier_form("flex", "0", "0.5", "2"), tier_form("", "200000", "2", "6"))

    answer = staff.post(page("price_add"), price_form(*tiers, request_usd="0.01"))

    assert answer.status_code == 302
    assert prices.in_force("acme", "m") == PriceSnapshot(
        Decimal(1), Decimal(4), request_usd=Decimal("0.01"), tiers=(FLEX, LONG)
    )
    assert Price.objects.get().source == "admin, boss"


@pytest.mark.parametrize(
    ("tier", "problem"),
    [
        (tier_form("flex", "200000", "1", "1"), "Give flex its rates from 0 tokens"),
        (tier_form("", "0", "1", "1"), "A tier has a service tier, a threshold, or both."),
        (tier_form("Flex!", "0", "1", "1"), "Use small letters"),
    ],
)
def test_a_tier_that_would_never_count_is_refused(
    staff: Client, tier: dict[str, str], problem: str
) -> None:
    answer = staff.post(page("price_add"), price_form(tier))

    assert problem in answer.content.decode()
    assert not Price.objects.exists()


def test_the_editor_shows_what_a_call_costs_and_saves_nothing(staff: Client) -> None:
    form = price_form(tier_form("flex", "0", "0.5", "2"), _sample="Show what it costs")
    call = {"input_tokens": "1000", "output_tokens": "1", "service_tier": "flex"}

    shown = staff.post(page("price_add"), {**form, **call}).content.decode()

    assert "This call costs $0.000502" in shown
    assert "$0.5 per million" in shown
    assert not Price.objects.exists()


def test_a_price_in_force_is_tried_on_a_call(staff: Client) -> None:
    price = prices.add(
        provider="acme", model="m", price=PriceSnapshot(Decimal(1), Decimal(4), tiers=(LONG,))
    )
    call = {"input_tokens": "200001", "audio_input_tokens": "1", "service_tier": "scale"}

    shown = staff.get(page("price_sample", price.pk), call).content.decode()

    assert "This call costs $0.400004" in shown
    assert "above 200,000 tokens of input" in shown
    assert "no rate for service tier scale, audio input" in shown


def test_a_new_price_begins_with_the_one_before(staff: Client) -> None:
    price = prices.add(
        provider="acme", model="m", price=PriceSnapshot(Decimal(1), Decimal(4), tiers=(LONG,))
    )

    form = staff.get(page("price_add"), {"after": price.pk}).context

    assert form["adminform"].form.initial["model"] == "m"
    (tiers,) = form["inline_admin_formsets"]
    assert tiers.formset.forms[0].initial["above_tokens"] == 200_000


def test_a_proposal_is_shown_beside_the_price_in_force(staff: Client) -> None:
    prices.add(provider="acme", model="m", price=PriceSnapshot(Decimal(2), Decimal(4)))

    shown = staff.get(page("priceproposal_change", propose("1.5").pk)).content.decode()

    assert "1 down, 2 new" in staff.get(page("priceproposal_changelist")).content.decode()
    for text in ("$2<", "$1.5<", "−25.0 %", "the same", "Input, flex", "Beware of audio."):
        assert text in shown
    assert "Accept this price" in shown


@pytest.mark.parametrize(
    ("button", "state", "price"),
    [("accept", ProposalState.ACCEPTED, Decimal(1)), ("reject", ProposalState.REJECTED, None)],
)
def test_a_proposal_is_decided_with_a_button(
    staff: Client, button: str, state: ProposalState, price: Decimal | None
) -> None:
    proposal = propose("1")

    staff.post(page("priceproposal_decide", proposal.pk), {button: "yes"})

    proposal.refresh_from_db()
    assert (proposal.state, proposal.decided_by) == (state, "boss")
    in_force = prices.in_force("acme", "m")
    assert (in_force and in_force.input_usd) == price


def test_many_proposals_are_accepted_at_once(staff: Client) -> None:
    chosen = [propose("1", model=f"m{number}").pk for number in range(3)]

    action = {"action": "accept_selected", "_selected_action": chosen}
    told = staff.post(page("priceproposal_changelist"), action, follow=True).content.decode()

    assert "3 accepted." in told
    assert Price.objects.in_force().count() == 3


def test_who_may_only_look_decides_nothing(client: Client) -> None:
    person = User.objects.create_user("viewer", password="secret", is_staff=True)
    person.user_permissions.add(Permission.objects.get(codename="view_priceproposal"))
    client.force_login(person)
    proposal = propose("1")

    shown = client.get(page("priceproposal_change", proposal.pk)).content.decode()
    answer = client.post(page("priceproposal_decide", proposal.pk), {"accept": "yes"})
    action = {"action": "accept_selected", "_selected_action": [proposal.pk]}
    client.post(page("priceproposal_changelist"), action)

    assert "Accept this price" not in shown
    assert answer.status_code == 403
    assert not Price.objects.exists()


@pytest.mark.parametrize("name", ["price", "priceproposal"])
def test_a_list_takes_no_more_queries_with_more_rows(staff: Client, name: str) -> None:
    counts = []
    for number in range(4):
        price = PriceSnapshot(Decimal(1), Decimal(4), tiers=(FLEX,))
        prices.add(provider="acme", model=f"m{number}", price=price)
        propose("2", model=f"m{number}")
        if number in (0, 3):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert staff.get(page(f"{name}_changelist")).status_code == 200
            counts.append(len(queries))

    assert counts[0] == counts[1]


def called(price: PriceSnapshot | None, model: str, service_tier: str = "", **usage: int) -> None:
    """Book a call with its price and how it was served."""
    made = attempt(make_tenant(), "0", price=price, model_asked="m", model_served=model)
    ended = settlement(
        made,
        "0" if price else None,
        usage=TokenUsage(**usage),
        service_tier=service_tier,
    )
    for entry in (Hold(made), Settle(ended)):
        book(entry)


def test_models_without_a_price_and_rates_that_lack_are_listed(staff: Client) -> None:
    priced = PriceSnapshot(Decimal(1), Decimal(4), tiers=(FLEX,))
    called(None, "m-2026-11-01", input_tokens=10, output_tokens=5)
    called(None, "m-2026-11-01", input_tokens=100)
    called(priced, "flexible", "flex", input_tokens=1)
    called(priced, "scaled", "scale", input_tokens=1)
    called(PriceSnapshot(Decimal(1), Decimal(4)), "untiered", "priority", input_tokens=1)
    called(priced, "spoken-to", audio_input_tokens=7)
    called(priced, "kept", cache_write_1h_tokens=7)
    called(priced, "shown-to", image_input_tokens=7)

    found = staff.get(page("price_unpriced"))

    (model,) = found.context["models"]
    assert (model.model, model.asked, model.calls, model.tokens) == ("m-2026-11-01", "m", 2, 115)
    assert '?provider=acme&amp;model=m"' in found.content.decode()
    assert [row.model for row in found.context["tiers"]] == ["scaled", "untiered"]
    assert [row.model for row in found.context["classes"]] == ["kept", "spoken-to"]


def test_a_record_names_what_its_price_had_no_rate_for(staff: Client) -> None:
    called(PriceSnapshot(Decimal(1), Decimal(4), tiers=(LONG,)), "m", "scale", input_tokens=200_001)

    listed = staff.get(page("usagerecord_changelist")).content.decode()
    record = UsageRecord.objects.get()
    detail = staff.get(page("usagerecord_change", record.pk)).content.decode()

    assert "(no rate for service tier scale)" in listed
    assert "input $2.00, output $6.00, the rates of: above 200,000 tokens of input" in detail
