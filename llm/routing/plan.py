"""Who is asked for one request, in which order, and how much each may be asked for."""

import time
from collections.abc import Mapping, Sequence
from random import Random

from django.conf import settings
from msgspec import Struct

from billing import prices
from llm import health
from llm.models import StepRole, Strategy
from llm.routing import strategies
from llm.routing.fitting import Candidate, Fitting, Lack, Prices, fit
from llm.routing.refusals import refusal
from llm.routing.routes import Route, Step
from llm.routing.strategies import Doing, Facts, Ranked
from llm.types import Call, ChatRequest

__all__ = ["Considered", "Fitting", "Plan", "Shortlist", "consider", "decide", "make"]

MAX_AGE = 0.05  # seconds; calls take far longer, so hardly one is chosen for by old figures
NOBODY_CALLED: Doing = {}
NO_PRICES: Prices = {}
TOO_LONG = (Lack.OUTPUT, Lack.CONTEXT)

_random = Random()  # noqa: S311 - it draws lots, not secrets


class Recent:
    """`health.snapshot()`, which works out percentiles, remembered for as long as it is good."""

    def __init__(self) -> None:
        self._until = 0.0
        self._seen = NOBODY_CALLED

    def snapshot(self) -> Doing:
        now = time.monotonic()
        if now > self._until:
            self._seen = health.snapshot()
            self._until = now + MAX_AGE
        return self._seen


recent = Recent()


class Plan(Struct, frozen=True, kw_only=True):
    """Who is asked, in order: first the ordinary ones, the others where an error asks for them."""

    alias: str
    ordinary: tuple[Fitting, ...]  # never empty
    when_too_long: tuple[Fitting, ...] = ()
    when_filtered: tuple[Fitting, ...] = ()
    is_hedged: bool = False


class Shortlist(Struct, frozen=True):
    """The steps of one role: who can take the request, in order, and all that were looked at."""

    ranked: Sequence[Ranked] = ()
    candidates: Sequence[Candidate] = ()

    @property
    def is_too_long(self) -> bool:
        """Return whether more room would have helped; nobody at all has no room either."""
        return not self.ranked and (
            not self.candidates or max(one.lack or 0 for one in self.candidates) in TOO_LONG
        )


NOBODY = Shortlist()


class Considered(Struct, frozen=True):
    """A request and a route, and what speaks for whom."""

    request: ChatRequest
    route: Route
    shortlists: Mapping[str, Shortlist]  # by role; only those that have steps

    def of(self, role: StepRole) -> Shortlist:
        return self.shortlists.get(role, NOBODY)


async def make(request: ChatRequest, call: Call, route: Route) -> Plan:
    """Return who can take the request, or raise why nobody can.

    A limit on output above what a model gives is refused, as OpenAI does: a client that asks for
    100,000 tokens and silently gets 4,096 would take a cut answer for a whole one.
    """
    # A single step is first whatever it does.
    doing = recent.snapshot() if len(route.steps) > 1 else NOBODY_CALLED
    return decide(await consider(request, call, route, doing))


async def consider(request: ChatRequest, call: Call, route: Route, doing: Doing) -> Considered:
    """Return how each step of the route stands to the request; ask nobody and hold nothing."""
    steps = [step for step in route.steps if step.is_for(call.task)]
    known = await prices_of(steps) if _needs_prices(route) else NO_PRICES
    facts = Facts(doing, known, _random)
    by_role: dict[str, list[Candidate]] = {}
    for candidate in await fit(request, steps, known):
        by_role.setdefault(candidate.step.role, []).append(candidate)
    shortlists = {role: shortlist(found, route, facts) for role, found in by_role.items()}
    return Considered(request, route, shortlists)


def decide(considered: Considered) -> Plan:
    """Return the plan that follows, or raise why there is none."""
    answer, too_long = considered.of(StepRole.ANSWER), considered.of(StepRole.TOO_LONG)
    ordinary, when_too_long, looked_at = answer.ranked, too_long.ranked, answer.candidates
    if answer.is_too_long:
        ordinary, when_too_long = too_long.ranked, ()
        looked_at = [*answer.candidates, *too_long.candidates]
    if not ordinary:
        raise refusal(considered.request, considered.route, looked_at)
    return Plan(
        alias=considered.route.alias,
        ordinary=fittings(ordinary),
        when_too_long=fittings(when_too_long),
        when_filtered=fittings(considered.of(StepRole.FILTERED).ranked),
        is_hedged=considered.route.is_hedged,
    )


async def prices_of(steps: Sequence[Step]) -> Prices:
    """Return what each step's deployment costs; `None`: it has no price."""
    return {
        step.deployment.id: await prices.price_for(step.deployment.provider, step.deployment.model)
        for step in steps
    }


def shortlist(candidates: Sequence[Candidate], route: Route, facts: Facts) -> Shortlist:
    """Put those first that are there for the task of the call, then those for every call."""
    fitting = [one for one in candidates if one.lack is None]
    for_task = [one for one in fitting if one.step.tasks]
    for_all = [one for one in fitting if not one.step.tasks] if for_task else fitting
    ranked = strategies.order(route.strategy, for_all, facts)
    if for_task:
        ranked = strategies.order(route.strategy, for_task, facts) + ranked
    return Shortlist(strategies.broken_last(ranked, facts), candidates)


def fittings(ranked: Sequence[Ranked]) -> tuple[Fitting, ...]:
    return tuple([one.fitting for one in ranked])


def _needs_prices(route: Route) -> bool:
    return route.strategy == Strategy.CHEAPEST or settings.UNPRICED_MODELS == "refuse"
