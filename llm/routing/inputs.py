"""Who is asked about texts that are read and not answered: for embeddings and moderation."""

from collections.abc import Callable
from random import Random

from core.errors import InvalidRequest
from llm.errors import ContextTooLong
from llm.models import StepRole, Strategy
from llm.providers import can
from llm.providers.base import Embedder, Moderator
from llm.routing.fitting import Candidate, Fitting, Lack
from llm.routing.plan import (
    NO_PRICES,
    NOBODY_CALLED,
    Plan,
    fittings,
    prices_of,
    recent,
    shortlist,
)
from llm.routing.routes import Route, Step
from llm.routing.strategies import Facts
from llm.types import Call

# How many tokens all texts have together for a model, and how many the longest one has.
Count = Callable[[str], tuple[int, int]]

LACKS: dict[type, str] = {Embedder: "it makes no embeddings", Moderator: "it does not moderate"}

_random = Random()  # noqa: S311 - it draws lots, not secrets


async def plan_for(route: Route, call: Call, count: Count, ability: type) -> Plan:
    """Return who can take the texts, in the order of the route's strategy.

    `ability` is the protocol that its provider must have. Raises `InvalidRequest` where none has
    it, `ContextTooLong` where a text is too long for all of them.
    """
    steps = [
        step
        for step in route.steps
        if step.role == StepRole.ANSWER
        and step.is_for(call.task)
        and can(step.deployment.connections[0].kind, ability)
    ]
    if not steps:
        raise InvalidRequest(
            f"{route.alias} cannot be asked for that: {LACKS[ability]}.", param="model"
        )
    candidates = [_measured(step, *count(step.deployment.model)) for step in steps]
    ranked = shortlist(candidates, route, await _facts(route, candidates)).ranked
    if not ranked:
        raise _too_long(route, candidates, count)
    return Plan(alias=route.alias, ordinary=fittings(ranked))


def _measured(step: Step, total: int, longest: int) -> Candidate:
    room = step.deployment.context_tokens
    is_too_long = room is not None and longest > room
    return Candidate(
        step,
        Fitting(step.deployment, input_tokens=total, max_output_tokens=0),
        Lack.CONTEXT if is_too_long else None,
    )


async def _facts(route: Route, candidates: list[Candidate]) -> Facts:
    if len(candidates) == 1:
        return Facts(NOBODY_CALLED, NO_PRICES, _random)
    is_by_price = route.strategy == Strategy.CHEAPEST
    known = await prices_of([one.step for one in candidates]) if is_by_price else NO_PRICES
    return Facts(recent.snapshot(), known, _random)


def _too_long(route: Route, candidates: list[Candidate], count: Count) -> ContextTooLong:
    roomiest = max((one.step.deployment for one in candidates), key=lambda d: d.context_tokens or 0)
    _, longest = count(roomiest.model)
    return ContextTooLong(
        f"A text has about {longest} tokens, more than the {roomiest.context_tokens} "
        f"that {route.alias} takes.",
        param="input",
    )
