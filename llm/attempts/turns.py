"""Whose turn it is: the same deployment again, another one, or nobody's."""

import asyncio
import random
import time
from dataclasses import dataclass

from llm import events, health, retry_budget
from llm.attempts.policy import Patience, Policy
from llm.errors import (
    ContentFiltered,
    ContextTooLong,
    NoDeployment,
    ProviderError,
    RateLimited,
)
from llm.health import Refusal, Ticket
from llm.routing.plan import Fitting, Plan
from llm.types import Call


@dataclass(frozen=True, slots=True)
class Turn:
    """A deployment that may be asked now, and the number of the attempt."""

    fitting: Fitting
    ticket: Ticket
    number: int


class Turns:
    """Decides for one request who is asked next; raises the error that ends it."""

    def __init__(self, call: Call, plan: Plan, policy: Policy, *, is_streamed: bool) -> None:
        self.count = 0  # of attempts
        self._call = call
        self._plan = plan
        self._policy = policy
        self._is_streamed = is_streamed
        seconds = policy.first_content if is_streamed else policy.whole_answer
        self._started_at = time.monotonic()
        self.deadline = self._started_at + seconds
        self._patience: Patience | None = None
        self._queue = list(plan.ordinary)
        self._current = plan.ordinary[0]
        self._asked: list[Fitting] = []
        self._error: ProviderError | None = None
        self._keys_refused = 0

    @property
    def _seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    async def next(self) -> Turn:
        """Return who is asked now, passing over those that have a cooldown."""
        while True:
            refused: list[tuple[Fitting, Refusal]] = []
            while self._queue:
                fitting = self._queue.pop(0)
                entry = await self._enter(fitting)
                if isinstance(entry, Ticket):
                    if fitting not in self._asked:
                        self._go_to(fitting)
                    return self._turn(fitting, entry)
                refused.append((fitting, entry))
            if self._error is not None:
                raise self._error
            await self._wait_for_one_of([refusal for _, refusal in refused])
            self._queue = [fitting for fitting, _ in refused]

    async def after(self, error: ProviderError, *, has_other_key: bool) -> None:
        """Prepare the next turn after `error`, having waited as long as is right, or raise it."""
        current = self._current
        self._error = error
        if has_other_key and self._keys_refused < len(current.deployment.connections) - 1:
            self._keys_refused += 1
            self._queue.insert(0, current)
        elif (wait := self._wait(error)) is not None:
            events.retry(self._call, current.deployment, self.count, error, wait)
            await asyncio.sleep(wait)
            self._queue.insert(0, current)
        else:
            self._queue = self._successors(error)
        if not self._queue or self._seconds_left <= 0:
            raise error

    async def beside(self) -> Turn | None:
        """Return a second deployment to ask while the current one is silent; `None`: there is none.

        It comes out of the retry budget: a slow vendor is not sent twice as many calls.
        """
        while self._queue:
            fitting = self._queue[0]
            if not retry_budget.of(fitting.deployment.provider).take():
                events.hedge_skipped(self._call, fitting.deployment, "RetryBudget")
                return None
            self._queue.pop(0)
            entry = await self._enter(fitting)
            if isinstance(entry, Ticket):
                self._asked.append(fitting)
                return self._turn(fitting, entry)
        return None

    def _turn(self, fitting: Fitting, ticket: Ticket) -> Turn:
        self.count += 1
        return Turn(fitting, ticket, self.count)

    async def _enter(self, fitting: Fitting) -> Ticket | Refusal:
        return await health.enter(fitting.deployment.id, is_streamed=self._is_streamed)

    def _go_to(self, fitting: Fitting) -> None:
        """Turn to a deployment that this request has not asked yet."""
        before, self._current = self._current, fitting
        self._asked.append(fitting)
        retry_budget.of(fitting.deployment.provider).note_call()
        if fitting is before:  # the very first
            return
        why = type(self._error).__name__ if self._error else NoDeployment.__name__
        events.fallback(self._call, before.deployment, fitting.deployment, why)
        self._keys_refused = 0
        if self._patience is not None:
            self._patience.begin()

    def _wait(self, error: ProviderError) -> float | None:
        """Return the seconds until the same deployment may be asked again; `None`: do not."""
        deployment = self._current.deployment
        if not error.is_retryable or health.is_open(deployment.id):
            return None
        if self._patience is None:
            self._patience = Patience(
                self._policy,
                started_at=self._started_at,
                seconds=self.deadline - self._started_at,
            )
        wait = self._patience.after(error)
        if wait is None or not retry_budget.of(deployment.provider).take():
            return None
        return wait

    async def _wait_for_one_of(self, refusals: list[Refusal]) -> None:
        """Wait until a vendor that limits the rate allows a call, or raise why nobody is asked."""
        soonest = min(refusal.seconds for refusal in refusals)
        limited = [refusal.seconds for refusal in refusals if refusal.is_rate_limited]
        if limited and min(limited) < min(self._policy.longest_wait, self._seconds_left):
            jitter = random.uniform(0, self._policy.base_delay)  # noqa: S311
            await asyncio.sleep(min(limited) + jitter)
        elif len(limited) == len(refusals):
            provider = self._current.deployment.provider
            message = f"The provider {provider} is limiting the rate of calls."
            raise RateLimited(message, retry_after=soonest)
        else:
            message = f"The model {self._plan.alias} does not answer just now."
            raise NoDeployment(message, retry_after=soonest)

    def _successors(self, error: ProviderError) -> list[Fitting]:
        """Return who may answer instead, in order."""
        if isinstance(error, ContextTooLong):
            return self._new(self._plan.when_too_long) or self._with_larger_windows()
        if isinstance(error, ContentFiltered):
            return self._new(self._plan.when_filtered)
        return self._queue if error.can_fall_back else []

    def _with_larger_windows(self) -> list[Fitting]:
        least = self._current.deployment.context_tokens or 0
        return [
            fitting for fitting in self._queue if (fitting.deployment.context_tokens or 0) > least
        ]

    def _new(self, fittings: tuple[Fitting, ...]) -> list[Fitting]:
        return [fitting for fitting in fittings if fitting not in self._asked]
