"""Prices of the public list are proposed once, and count when they are accepted."""

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from billing import prices
from billing.models import Price, PriceProposal, ProposalState
from billing.prices import catalog, proposals
from billing.prices.catalog import Listed
from billing.pricing import PriceSnapshot, Tier
from llm.models import Deployment, Provider, ProviderKind

pytestmark = pytest.mark.django_db

FLEX = Tier(input_usd=Decimal("0.5"), output_usd=Decimal(2), service_tier="flex")


def snapshot(input_usd: str, output_usd: str = "4", **more: Any) -> PriceSnapshot:
    return PriceSnapshot(Decimal(input_usd), Decimal(output_usd), **more)


@pytest.fixture
def on_the_list(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say what the list has for every model from now on."""

    def put(price: PriceSnapshot, *warnings: str) -> None:
        monkeypatch.setattr(catalog, "read", lambda *asked: Listed(price, warnings, "By mail."))

    return put


def propose() -> PriceProposal | None:
    return proposals.propose(provider="acme", vendor_id="acme", model="m")


def in_force() -> PriceSnapshot | None:
    return prices.in_force("acme", "m")


def test_a_price_on_the_list_is_proposed_once_and_counts_for_nothing(on_the_list: Any) -> None:
    on_the_list(snapshot("1", tiers=(FLEX,)), "Beware.")

    proposal = propose()

    assert proposal is not None
    assert proposal.snapshot() == snapshot("1", tiers=(FLEX,))
    assert (proposal.warnings, proposal.comment) == (["Beware."], "By mail.")
    assert in_force() is None
    assert propose() is None
    assert PriceProposal.objects.get() == proposal


def test_an_accepted_price_is_in_force_with_its_tiers(on_the_list: Any) -> None:
    on_the_list(snapshot("1", tiers=(FLEX,)), "Beware.")
    proposal = propose()
    assert proposal is not None

    added = proposals.accept(proposal, by="ann")

    assert in_force() == snapshot("1", tiers=(FLEX,))
    assert added.source == "genai-prices, accepted ann. Beware."
    proposal.refresh_from_db()
    assert (proposal.state, proposal.decided_by) == (ProposalState.ACCEPTED, "ann")
    assert propose() is None


def test_a_rejected_price_comes_back_only_when_the_list_changes(on_the_list: Any) -> None:
    on_the_list(snapshot("1"))
    first = propose()
    assert first is not None
    proposals.reject(first, by="ann")
    assert propose() is None

    on_the_list(snapshot("2"))

    assert propose() is not None
    on_the_list(snapshot("1"))
    assert propose() is not None
    states = PriceProposal.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["rejected", "outdated", "open"]


def test_a_price_that_is_in_force_is_not_proposed(on_the_list: Any) -> None:
    prices.add(provider="acme", model="m", price=snapshot("1"))
    on_the_list(snapshot("2"))
    assert propose() is not None

    on_the_list(snapshot("1.0"))

    assert propose() is None
    assert PriceProposal.objects.get().state == ProposalState.OUTDATED


def test_nothing_is_decided_twice(on_the_list: Any) -> None:
    on_the_list(snapshot("1"))
    proposal = propose()
    assert proposal is not None
    proposals.reject(proposal, by="ann")

    with pytest.raises(proposals.AlreadyDecided):
        proposals.accept(proposal, by="bob")

    assert in_force() is None


@pytest.mark.parametrize(
    ("percent", "proposed", "warnings", "is_accepted"),
    [
        (10, snapshot("1.09"), (), True),
        (10, snapshot("0.91"), (), True),
        (10, snapshot("1.10"), (), False),
        (10, snapshot("1.01", "8"), (), False),
        (0, snapshot("1.01"), (), False),
        (10, snapshot("1.01"), ("Beware.",), False),
        (10, snapshot("1", tiers=(FLEX,)), (), False),
        (10, snapshot("1.01", request_usd=Decimal("0.01")), (), False),
    ],
)
def test_only_a_small_change_without_doubt_is_accepted_by_itself(
    on_the_list: Any,
    settings: Any,
    percent: int,
    proposed: PriceSnapshot,
    warnings: tuple[str, ...],
    is_accepted: bool,
) -> None:
    settings.PRICE_CHANGE_ACCEPTED_PERCENT = percent
    prices.add(provider="acme", model="m", price=snapshot("1"))
    on_the_list(proposed, *warnings)

    proposal = propose()

    assert proposal is not None
    assert (proposal.state == ProposalState.ACCEPTED) == is_accepted
    assert in_force() == (proposed if is_accepted else snapshot("1"))


def test_a_first_price_is_never_accepted_by_itself(on_the_list: Any, settings: Any) -> None:
    settings.PRICE_CHANGE_ACCEPTED_PERCENT = 100
    on_the_list(snapshot("1"))

    proposal = propose()

    assert proposal is not None
    assert proposal.state == ProposalState.OPEN


def imported() -> str:
    told = StringIO()
    call_command("import_prices", stdout=told)
    return told.getvalue()


def test_the_command_proposes_for_the_models_that_are_served() -> None:
    vendor = Provider.objects.create(name="openai", kind=ProviderKind.OPENAI)
    own = Provider.objects.create(
        name="own", kind=ProviderKind.OPENAI, base_url="http://10.0.0.7/v1"
    )
    for provider in (vendor, own):
        for model in ("gpt-5.5", "unheard-of"):
            Deployment.objects.create(provider=provider, model=model)

    first, second = imported(), imported()

    assert "openai gpt-5.5: proposed\n" in first
    assert "own" not in first
    assert "unheard-of" not in first
    assert second.startswith("0 new")
    proposal = PriceProposal.objects.get()
    assert {tier.service_tier for tier in proposal.snapshot().tiers} >= {"", "flex", "batch"}
    assert not Price.objects.exists()
