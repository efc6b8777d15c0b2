"""What would be tried for a request, in which order and why: nobody is called, nothing is held."""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum

from asgiref.sync import async_to_sync
from msgspec import Struct
from msgspec.structs import replace

from billing import prices
from billing.pricing import worst_case_usd
from core.errors import AppError
from llm import guard, health, service_tiers
from llm.health import DeploymentHealth
from llm.models import StepRole
from llm.providers import Deployment
from llm.routing import plan, routes
from llm.routing.fitting import Fitting
from llm.routing.plan import Considered
from llm.routing.refusals import why_not
from llm.routing.strategies import UNKNOWN, Doing
from llm.types import Call, ChatRequest


class When(StrEnum):
    """Where a deployment stands for the request."""

    ORDINARY = "asked"
    TOO_LONG = "if it is too long"
    FILTERED = "if a filter refuses"
    NEVER = "not asked"


class Row(Struct, frozen=True, kw_only=True):
    """A step of the route."""

    when: When
    place: int = 0  # among those of the same `when`; 0: it has none
    reason: str
    deployment: Deployment
    health: DeploymentHealth
    input_tokens: int | None = None  # None: it was not looked at
    max_output_tokens: int | None = None
    most_usd: Decimal | None = None  # what one attempt is held for; None: unknown


class Explanation(Struct, frozen=True, kw_only=True):
    """What a call would find."""

    refusal: str = ""  # what its caller would be told instead of an answer
    rows: tuple[Row, ...] = ()
    is_hedged: bool = False


def explain(request: ChatRequest, call: Call) -> Explanation:
    """Return what would happen to the request, decided by the very code that decides for calls.

    For code that is not async. Budgets, rate limits and guardrails are not looked at.
    """
    return async_to_sync(_explain)(request, call, health.snapshot())


async def _explain(request: ChatRequest, call: Call, doing: Doing) -> Explanation:
    try:
        guard.check(request)
        route = await routes.find(request.model, call.principal)
    except AppError as error:
        return Explanation(refusal=error.message)
    considered = await plan.consider(request, call, route, doing)
    found = [*_asked(considered, doing), *_passed_over(considered, call, doing)]
    rows = tuple([await _priced(row) for row in found])
    try:
        plan.decide(considered)
    except AppError as error:
        return Explanation(refusal=error.message, rows=rows)
    return Explanation(rows=rows, is_hedged=route.is_hedged)


def _asked(considered: Considered, doing: Doing) -> Iterator[Row]:
    """Yield who is asked in order, then who stands by."""
    is_too_long = considered.of(StepRole.ANSWER).is_too_long
    whens = {
        StepRole.ANSWER: When.ORDINARY,
        StepRole.TOO_LONG: When.ORDINARY if is_too_long else When.TOO_LONG,
        StepRole.FILTERED: When.FILTERED,
    }
    for role, when in whens.items():
        for place, ranked in enumerate(considered.of(role).ranked, start=1):
            reason = ranked.reason
            if role == StepRole.TOO_LONG and is_too_long:
                reason = f"it is too long for the others; {reason}"
            yield _row(ranked.fitting, doing, when=when, place=place, reason=reason)


def _passed_over(considered: Considered, call: Call, doing: Doing) -> Iterator[Row]:
    for shortlist in considered.shortlists.values():
        for one in shortlist.candidates:
            if one.lack is not None:
                yield _row(one.fitting, doing, when=When.NEVER, reason=why_not(one, one.lack))
    for step in considered.route.steps:
        if not step.is_for(call.task):
            tasks = " or ".join(sorted(step.tasks))
            yield Row(
                when=When.NEVER,
                reason=f"is only for calls with the task {tasks}",
                deployment=step.deployment,
                health=doing.get(step.deployment.id, UNKNOWN),
            )


def _row(fitting: Fitting, doing: Doing, *, when: When, reason: str, place: int = 0) -> Row:
    return Row(
        when=when,
        place=place,
        reason=reason,
        deployment=fitting.deployment,
        health=doing.get(fitting.deployment.id, UNKNOWN),
        input_tokens=fitting.input_tokens,
        max_output_tokens=fitting.max_output_tokens,
    )


async def _priced(row: Row) -> Row:
    if row.when == When.NEVER or row.input_tokens is None or row.max_output_tokens is None:
        return row
    price = await prices.price_for(row.deployment.provider, row.deployment.model)
    if price is None:
        return row
    most_usd = worst_case_usd(
        price,
        input_tokens=row.input_tokens,
        max_output_tokens=row.max_output_tokens,
        service_tiers=service_tiers.seen(row.deployment.provider, row.deployment.model),
    )
    return replace(row, most_usd=most_usd)
