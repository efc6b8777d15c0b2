"""Calls to models that read and do not answer: the retries, breakers and books that chat has too.

One attempt may serve several callers, each with books of its own (`booked`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from django.conf import settings

from billing import prices
from billing.ledger import Settlement
from core.durations import milliseconds_since
from llm import attempts, credentials, events
from llm.attempts.turns import Turn, Turns
from llm.errors import STOPPED, ModelUnpriced, ProviderError
from llm.metering import Meter, attempt_for
from llm.providers import Connection, Deployment, Provider, provider_for
from llm.routing.plan import Plan
from llm.types import Call, End, Finished

__all__ = ["Failed", "Turn", "booked", "first_success", "meter_for"]

Result = TypeVar("Result")

Work = Callable[[Turn], Awaitable[tuple[Result, Settlement | None]]]


class Failed(Exception):
    """An attempt failed at the vendor; its books are closed."""

    def __init__(self, error: ProviderError, *, has_other_key: bool) -> None:
        super().__init__(error)
        self.error = error
        self.has_other_key = has_other_key


async def first_success(call: Call, plan: Plan, attempt: Work[Result]) -> Result:
    """Return what the first attempt that succeeds returns; raise why none has.

    `attempt` returns its result and what was booked for it, or raises `Failed`.
    """
    turns = Turns(call, plan, attempts.POLICY, is_streamed=False)
    started_at = time.monotonic()
    settlement, failure = None, None
    try:
        result, settlement = await _until_success(call, plan, turns, attempt)
        return result
    except BaseException as error:
        failure = error
        raise
    finally:
        events.complete(
            call,
            plan.alias,
            settlement,
            started_at=started_at,
            attempts=turns.count,
            error=failure,
        )


async def meter_for(call: Call, turn: Turn, *, model: str) -> Meter:
    """Return the books of an attempt, not yet opened; raise `ModelUnpriced` if that is refused."""
    deployment = turn.fitting.deployment
    price = await prices.price_for(deployment.provider, deployment.model)
    if price is None and settings.UNPRICED_MODELS == "refuse":
        raise ModelUnpriced(f"The model {model} has no price yet.", param="model")
    return Meter(attempt_for(call, turn.fitting, price, model=model, number=turn.number))


async def booked(
    deployment: Deployment,
    meters: Sequence[Meter],
    work: Callable[[Provider], Awaitable[tuple[Result, Sequence[End]]]],
) -> tuple[Result, list[Finished | None]]:
    """Call the vendor once, for all who hold; close their books; return what each has to pay.

    `work` returns its result and an end for each of the `meters`. Raises `Failed`.
    """
    connection = None
    try:
        connection = credentials.choose(deployment)
        result, ends = await work(provider_for(connection))
        for meter, end in zip(meters, ends, strict=True):
            meter.finished(end)
    except ProviderError as error:
        raise _failed(deployment, connection, meters, error) from error
    except STOPPED:
        for meter in meters:
            meter.stopped()
        raise
    finally:
        finished = await asyncio.gather(*(meter.settle() for meter in meters))
    return result, finished


def _failed(
    deployment: Deployment,
    connection: Connection | None,
    meters: Sequence[Meter],
    error: ProviderError,
) -> Failed:
    """Note that the call failed, in the books and for its key; return what is raised."""
    has_other_key = False
    if connection is not None:
        error.hide(connection.api_key)
        has_other_key = credentials.set_aside(deployment, connection, error)
    for meter in meters:
        meter.failed(error)
    return Failed(error, has_other_key=has_other_key)


async def _until_success(
    call: Call, plan: Plan, turns: Turns, attempt: Work[Result]
) -> tuple[Result, Settlement | None]:
    while True:
        turn = await turns.next()
        events.attempt(call, plan.alias, turn.fitting.deployment, turn.number)
        try:
            return await _once(turn, attempt)
        except Failed as failed:
            await turns.after(failed.error, has_other_key=failed.has_other_key)


async def _once(turn: Turn, attempt: Work[Result]) -> tuple[Result, Settlement | None]:
    """Make the attempt and tell the breaker how it went."""
    started_at = time.monotonic()
    try:
        made = await attempt(turn)
    except Failed as failed:
        turn.ticket.ended(failed.error)
        raise
    except BaseException as error:
        turn.ticket.ended(error)
        raise
    turn.ticket.spoke(milliseconds_since(started_at))
    turn.ticket.ended(None)
    return made
