"""The one retry loop: which deployment is asked, how often, and until when.

Only before the first content: once a deployment has spoken, the answer is its own to finish.
"""

import time
from collections.abc import AsyncGenerator
from functools import partial

from billing import prices
from llm import events, health
from llm.attempts import hedging
from llm.attempts.attempt import Attempt
from llm.attempts.policy import Policy
from llm.attempts.turns import Turn, Turns
from llm.errors import ProviderError
from llm.providers import Deployment
from llm.routing.plan import Plan
from llm.types import Call, ChatRequest, Delta, Event

__all__ = ["POLICY", "Policy", "stream"]

POLICY = Policy()


async def stream(request: ChatRequest, call: Call, plan: Plan) -> AsyncGenerator[Event, None]:
    """Yield the answer of the first deployment that gives one; each attempt has its own books."""
    search = Search(request, call, plan)
    try:
        async with await search.first_to_speak() as attempt:
            yield attempt.started
            item, answer, meter = attempt.first, attempt.answer, attempt.meter
            while isinstance(item, Delta):
                meter.note(item)
                yield item
                item = await anext(answer)
            meter.finished(item)
    except BaseException as error:
        search.complete(error)
        raise
    search.complete(None)
    if item.raw is not None:
        yield Delta(raw=item.raw)
    if attempt.finished is not None:
        yield attempt.finished


class Search:
    """One request, from deployment to deployment until one speaks."""

    def __init__(self, request: ChatRequest, call: Call, plan: Plan) -> None:
        self._request = request
        self._call = call
        self._plan = plan
        self._started_at = time.monotonic()
        self._turns = Turns(call, plan, POLICY, is_streamed=request.stream)
        self._last: Attempt | None = None

    async def first_to_speak(self) -> Attempt:
        """Return the attempt whose deployment has begun to answer, or raise why none has."""
        while True:
            attempt = self._last = await self._attempt(await self._turns.next())
            try:
                self._last = await self._begin(attempt)
                return self._last
            except ProviderError as error:
                await self._turns.after(error, has_other_key=attempt.has_other_key)

    def complete(self, error: BaseException | None) -> None:
        """Log how it ended."""
        events.complete(
            self._call,
            self._plan.alias,
            self._last.meter.settlement if self._last else None,
            started_at=self._started_at,
            attempts=self._turns.count,
            error=error,
        )

    async def _attempt(self, turn: Turn) -> Attempt:
        deployment = turn.fitting.deployment
        try:
            price = await prices.price_for(deployment.provider, deployment.model)
        except BaseException as error:
            turn.ticket.ended(error)
            raise
        return Attempt(self._request, self._call, self._plan.alias, turn, price)

    async def _begin(self, attempt: Attempt) -> Attempt:
        """Return the attempt that speaks first: this one, or one that is made beside it."""
        usual = self._usual_wait(attempt.deployment)
        deadline = self._turns.deadline
        if usual is None:
            await attempt.begin(deadline)
            return attempt
        return await hedging.race(
            attempt,
            beside=partial(self._beside, attempt.deployment, usual),
            patience=usual,
            deadline=deadline,
        )

    async def _beside(self, slow: Deployment, waited: float) -> Attempt | None:
        turn = await self._turns.beside()
        if turn is None:
            return None
        events.hedge(self._call, slow, turn.fitting.deployment, waited)
        return await self._attempt(turn)

    def _usual_wait(self, deployment: Deployment) -> float | None:
        if not self._plan.is_hedged:
            return None
        return health.usual_wait(deployment.id, is_streamed=self._request.stream)
