"""One caller's part in a flight: the payer gets the answer as it is, the others for nothing."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import structlog
from msgspec.structs import replace

from billing.models import Outcome
from core.durations import milliseconds_since
from core.errors import AppError, DependencyDown
from core.ids import new_id
from llm import metering
from llm.caching import books, figures
from llm.caching.books import Hit
from llm.caching.flights import Flight, Passenger, flight_for, go_on
from llm.caching.lookup import Answer, Lookup
from llm.caching.replay import replay
from llm.errors import STOPPED
from llm.types import Event, Finished, Started

logger = structlog.get_logger(__name__)


async def share(lookup: Lookup, answer: Answer) -> AsyncGenerator[Event, None]:
    """Yield the answer of the one call that is made for all who ask the same now."""
    flight = flight_for(lookup)
    passenger = Passenger(lookup, answer)
    flight.board(passenger)
    try:
        async with aclosing(_seen_by(passenger, flight)) as events:
            async for event in events:
                yield event
        if flight.kept is not None:
            async with aclosing(replay(flight.kept, lookup)) as events:
                async for event in events:
                    yield event
    finally:
        await asyncio.shield(go_on(flight.leave(passenger)))


async def _seen_by(passenger: Passenger, flight: Flight) -> AsyncGenerator[Event, None]:
    """Yield the events; to whom does not pay, as a hit that is recorded when it has ended."""
    ride = Ride(passenger.lookup)
    try:
        async with aclosing(flight.events(passenger)) as events:
            async for event in events:
                if flight.payer is not passenger:
                    yield await ride.see(event)
                    continue
                if isinstance(event, Started):
                    figures.note(passenger.lookup, "miss")
                yield event
    except AppError as error:
        await ride.end(Outcome.FAILED, error_class=type(error).__name__)
        raise
    except STOPPED:
        await asyncio.shield(go_on(ride.end(Outcome.STOPPED)))
        raise


class Ride:
    """What a caller who does not pay gets, and the record of it."""

    def __init__(self, lookup: Lookup) -> None:
        self._asked = lookup
        self._began_at = time.monotonic()
        self._hit: Hit | None = None

    async def see(self, event: Event) -> Event:
        """Return the event as this caller sees it; its end is told when it is in the books."""
        if isinstance(event, Started):
            return self._start(event)
        if isinstance(event, Finished):
            outcome = metering.OUTCOMES[event.finish_reason]
            figures.note_saved(self._asked, event.cost_usd)
            await self.end(
                outcome,
                usage=event.usage,
                finish_reason=event.finish_reason,
                saved_usd=event.cost_usd,
            )
            return replace(event, cost_usd=metering.NO_COST, room_usd=None)
        return event

    async def end(self, outcome: Outcome, **more: Any) -> None:
        """Record how it ended, once; an answer that did not begin leaves no record."""
        hit, self._hit = self._hit, None
        if hit is None:
            return
        ended = dataclasses.replace(
            hit, outcome=outcome, duration_ms=milliseconds_since(self._began_at), **more
        )
        call = self._asked.call
        try:
            await books.record(ended, call, model_asked=self._asked.request.model)
        except DependencyDown:  # the answer is true, and it cost nothing
            logger.warning("llm.hit_not_recorded", request_id=call.request_id)

    def _start(self, started: Started) -> Started:
        self._hit = Hit(
            usage_id=new_id(),
            provider=started.provider,
            model=started.model,
            outcome=Outcome.SUCCESS,
            ttft_ms=milliseconds_since(self._began_at),
        )
        figures.note(self._asked, "shared", age=0.0)
        return Started(
            usage_id=self._hit.usage_id,
            provider=started.provider,
            model=started.model,
            is_cache_hit=True,
            cache_age=0.0,
            is_shared=True,
        )
