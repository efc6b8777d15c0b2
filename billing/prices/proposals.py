"""Prices that a public list has: proposed once, accepted or rejected by staff."""

from collections.abc import Sequence
from decimal import Decimal

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from billing import prices
from billing.models import Price, PriceProposal, ProposalState
from billing.price_json import price_to_json
from billing.prices import catalog, changes
from billing.prices.changes import Change
from core.errors import AppError

logger = structlog.get_logger(__name__)

BY_ITSELF = "by itself"


class AlreadyDecided(AppError):
    """The proposal is not open any more."""

    code = "proposal_decided"
    http_status = 409


@transaction.atomic
def propose(*, provider: str, vendor_id: str | None, model: str) -> PriceProposal | None:
    """Propose the public price of a model where it is not the one in force; `None`: nothing new.

    What has been proposed is not proposed again, whatever became of it, until the list changes. A
    small change is accepted at once: below `PARLEY_PRICE_CHANGE_ACCEPTED_PERCENT`, without a
    warning, and in no rate that is new or gone.
    """
    listed = catalog.read(vendor_id, model, timezone.now())
    if listed is None:
        return None
    past = PriceProposal.objects.filter(provider=provider, model=model).select_for_update()
    last = past.order_by("-created_at", "-pk").first()
    proposed, warnings = price_to_json(listed.price), list(listed.warnings)
    if prices.in_force(provider, model) == listed.price:
        past.filter(state=ProposalState.OPEN).update(state=ProposalState.OUTDATED)
        return None
    if last is not None and last.proposed == proposed and last.warnings == warnings:
        return None
    past.filter(state=ProposalState.OPEN).update(state=ProposalState.OUTDATED)
    proposal = PriceProposal.objects.create(
        provider=provider,
        model=model,
        source=prices.CATALOG,
        proposed=proposed,
        warnings=warnings,
        comment=listed.comment,
    )
    if _is_small(proposal):
        accept(proposal, by=BY_ITSELF)
    return proposal


@transaction.atomic
def accept(proposal: PriceProposal, *, by: str) -> Price:
    """Set the proposed price from now on; raise `AlreadyDecided`."""
    _decide(proposal, ProposalState.ACCEPTED, by)
    source = ". ".join((f"{proposal.source}, accepted {by}", *proposal.warnings))
    return prices.add(
        provider=proposal.provider,
        model=proposal.model,
        price=proposal.snapshot(),
        source=source[:200],
    )


def reject(proposal: PriceProposal, *, by: str) -> None:
    """Leave the price as it is; raise `AlreadyDecided`."""
    _decide(proposal, ProposalState.REJECTED, by)


def differences(proposal: PriceProposal) -> list[Change]:
    """Return what accepting the proposal would change now."""
    in_force = prices.in_force(proposal.provider, proposal.model)
    return changes.between(in_force, proposal.snapshot())


def compared(chosen: Sequence[PriceProposal]) -> dict[int, list[Change]]:
    """Return for each proposal, by its id, what accepting it would change; all in two queries."""
    models = {proposal.model for proposal in chosen}
    known = Price.objects.in_force().filter(model__in=models).prefetch_related("tiers")
    in_force = {(price.provider, price.model): price.snapshot() for price in known}
    return {
        one.pk: changes.between(in_force.get((one.provider, one.model)), one.snapshot())
        for one in chosen
    }


def _decide(proposal: PriceProposal, state: ProposalState, by: str) -> None:
    now = timezone.now()
    is_open = PriceProposal.objects.filter(pk=proposal.pk, state=ProposalState.OPEN)
    if not is_open.update(state=state, decided_at=now, decided_by=by):
        raise AlreadyDecided(f"The proposal for {proposal} is decided already.")
    proposal.state, proposal.decided_at, proposal.decided_by = state, now, by
    logger.info(
        "billing.price_proposal",
        provider=proposal.provider,
        model=proposal.model,
        decision=state.value,
        by=by,
    )


def _is_small(proposal: PriceProposal) -> bool:
    most = Decimal(str(settings.PRICE_CHANGE_ACCEPTED_PERCENT))
    largest = changes.largest_percent(differences(proposal))
    return not proposal.warnings and most > 0 and largest is not None and largest < most
