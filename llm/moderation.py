"""Whether a model whose job it is finds a text harmful, and in which way."""

from dataclasses import dataclass
from typing import cast

from billing.ledger import Settlement
from llm import tokens
from llm.attempts import retrying
from llm.attempts.retrying import Turn
from llm.providers import Provider
from llm.providers.base import Moderator, Verdict
from llm.routing import inputs, routes
from llm.types import Call, End

__all__ = ["Moderation", "check"]


@dataclass(frozen=True, slots=True)
class Moderation:
    """A verdict; the categories are the vendor's, in alphabetical order."""

    flagged: bool
    categories: tuple[str, ...] = ()


async def check(text: str, *, model: str, call: Call) -> Moderation:
    """Return what the model behind the alias says of the text, at the caller's expense.

    Raises `InvalidRequest` where it does not moderate, and what `llm.service.stream` raises before
    `Started`. The vendor reports no tokens, so the books have our count, marked as an estimate.
    """
    if not text:
        return Moderation(flagged=False)
    route = await routes.find(model, call.principal)
    counts = {one.model: await tokens.count_soon(text, one.model) for one in route.deployments}
    plan = await inputs.plan_for(route, call, lambda name: (counts[name], counts[name]), Moderator)

    async def attempt(turn: Turn) -> tuple[Verdict, Settlement | None]:
        return await _moderate(text, model, call, turn)

    verdict = await retrying.first_success(call, plan, attempt)
    return Moderation(flagged=verdict.is_flagged, categories=verdict.categories)


async def _moderate(
    text: str, model: str, call: Call, turn: Turn
) -> tuple[Verdict, Settlement | None]:
    deployment = turn.fitting.deployment

    async def work(provider: Provider) -> tuple[Verdict, list[End]]:
        verdict = await cast(Moderator, provider).moderate(text, deployment)
        return verdict, [End(finish_reason="stop")]

    meter = await retrying.meter_for(call, turn, model=model)
    await meter.hold()
    verdict, _ = await retrying.booked(deployment, [meter], work)
    return verdict, meter.settlement
