"""One call to one deployment, with its books."""

import asyncio
import time
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from billing.pricing import PriceSnapshot
from core.errors import AppError
from llm import credentials, events
from llm.attempts.turns import Turn
from llm.errors import STOPPED, ProviderError, TimedOut
from llm.metering import Meter, attempt_for
from llm.providers import Connection, provider_for
from llm.types import Call, ChatRequest, Delta, End, Finished, Started


class Attempt:
    """It begins, and ends exactly once: hung up, told to the breaker, settled.

    Every ending, also a stopped one, is in the books before it is told.
    """

    answer: AsyncGenerator[Delta | End, None]
    first: Delta | End  # what the model says first

    def __init__(
        self, request: ChatRequest, call: Call, alias: str, turn: Turn, price: PriceSnapshot | None
    ) -> None:
        self.deployment = turn.fitting.deployment
        self.meter = Meter(
            attempt_for(
                call,
                turn.fitting,
                price,
                model=request.model,
                number=turn.number,
                service_tier=request.extra.get("service_tier"),
            ),
            turn.fitting.comparable_tokens,
        )
        self.has_other_key = False  # than the one that the vendor refused
        self.finished: Finished | None = None
        self._request = request
        self._call = call
        self._alias = alias
        self._turn = turn
        self._connection: Connection | None = None
        self._is_asked = False

    @property
    def started(self) -> Started:
        return Started(
            usage_id=self.meter.usage_id,
            provider=self.deployment.provider,
            model=self.deployment.model,
            room_usd=self.meter.room_usd,
        )

    async def begin(self, deadline: float) -> None:
        """Return when the model has spoken; what fails before that is settled and raised."""
        try:
            await self._begin(deadline)
        except BaseException as error:
            await self.end(error)
            raise

    async def begin_beside(self, deadline: float) -> None:
        """Do as `begin`, for a call that goes on without this attempt where it cannot be made."""
        try:
            await self.begin(deadline)
        except AppError as error:
            if not self._is_asked:
                events.hedge_skipped(self._call, self.deployment, type(error).__name__)
            raise

    async def end(self, error: BaseException | None) -> None:
        """Hang up and close the books."""
        if error is not None:
            self._judge(error)
        try:
            if self._is_asked:
                await self.answer.aclose()
        finally:
            self._turn.ticket.ended(error)
            if self._call.presence.has_left:
                self.meter.caller_left()
            self.finished = await self.meter.settle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.end(error)

    async def _begin(self, deadline: float) -> None:
        turn, deployment, is_streamed = self._turn, self.deployment, self._request.stream
        self._connection = credentials.choose(deployment)
        await self.meter.hold()
        events.attempt(self._call, self._alias, deployment, turn.number)
        limited = replace(self._request, max_tokens=turn.fitting.max_output_tokens)
        self.answer = provider_for(self._connection).stream(limited, deployment)
        self._is_asked = True
        timeouts = deployment.timeouts
        patience = timeouts.first_token if is_streamed else timeouts.total
        self.first = await _first(self.answer, min(patience, deadline - time.monotonic()))
        if not isinstance(self.first, Delta):  # an empty answer
            turn.ticket.spoke(self.meter.elapsed_ms())
            return
        ttft_ms = self.meter.spoke()
        turn.ticket.spoke(ttft_ms)
        if is_streamed:
            events.first_token(self._call, deployment, turn.number, ttft_ms)

    def _judge(self, error: BaseException) -> None:
        if isinstance(error, STOPPED):
            self.meter.stopped()
        if not isinstance(error, ProviderError) or self._connection is None:
            return
        error.hide(self._connection.api_key)
        self.meter.failed(error)
        self.has_other_key = credentials.set_aside(self.deployment, self._connection, error)


async def _first(answer: AsyncGenerator[Delta | End, None], seconds: float) -> Delta | End:
    try:
        async with asyncio.timeout(seconds):
            return await anext(answer)
    except TimeoutError as error:
        raise TimedOut("The model did not answer in time.") from error
