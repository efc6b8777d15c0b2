"""The one retry loop: which deployment is asked, how often, and until when.

Only before the first content: once a deployment has spoken, the answer is its own to finish.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import structlog
from django.conf import settings
from msgspec.structs import replace

from billing import prices
from llm.errors import ModelUnpriced, ProviderError, TimedOut
from llm.guard import Fitting
from llm.metering import Meter, attempt_for
from llm.providers import provider_for
from llm.types import Call, ChatRequest, Delta, End, Event, Started

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How patient a call is."""

    retries: int = 2  # per deployment
    base_delay: float = 0.25  # seconds; doubled with each retry, then drawn between 0 and that
    longest_wait: float = 10.0  # seconds; whoever asks for more is passed over
    first_content: float = 120.0  # seconds for all attempts together
    whole_answer: float = 600.0  # seconds, where the answer comes in one piece


POLICY = Policy()


class Turns:
    """Whose turn it is: the same deployment again, the next one, or nobody's."""

    def __init__(self, fitting: Sequence[Fitting], *, policy: Policy, is_streamed: bool) -> None:
        self.current = fitting[0]
        self.number = 1
        self._others = list(fitting[1:])
        self._policy = policy
        self._retries = 0
        patience = policy.first_content if is_streamed else policy.whole_answer
        self.deadline = asyncio.get_running_loop().time() + patience

    async def after(self, error: ProviderError) -> None:
        """Move on after `error`, having waited as long as is right, or raise it."""
        self.number += 1
        wait = self._wait(error)
        if wait is not None:
            self._retries += 1
            await asyncio.sleep(wait)
        elif error.can_fall_back and self._others and self._has_time_for(0):
            self.current = self._others.pop(0)
            self._retries = 0
        else:
            raise error

    def _wait(self, error: ProviderError) -> float | None:
        """Return the seconds until the same deployment may be asked again; `None`: do not."""
        if not error.is_retryable or self._retries >= self._policy.retries:
            return None
        backoff = random.uniform(0, self._policy.base_delay * 2**self._retries)  # noqa: S311
        wait = max(backoff, error.retry_after or 0)
        is_bearable = wait <= self._policy.longest_wait and self._has_time_for(wait)
        return wait if is_bearable else None

    def _has_time_for(self, wait: float) -> bool:
        return asyncio.get_running_loop().time() + wait < self.deadline


async def stream(
    request: ChatRequest, call: Call, fitting: Sequence[Fitting]
) -> AsyncGenerator[Event, None]:
    """Yield the answer of the first deployment that gives one; each attempt has its own books."""
    turns = Turns(fitting, policy=POLICY, is_streamed=request.stream)
    while True:
        meter = await _open(request, call, turns)
        try:
            async with aclosing(_attempt(request, meter, turns)) as events:
                async for event in events:
                    yield event
            return
        except ProviderError as error:
            _log(error, call, turns)
            if meter.has_spoken:
                raise
            await turns.after(error)


async def _open(request: ChatRequest, call: Call, turns: Turns) -> Meter:
    deployment = turns.current.deployment
    price = await prices.price_for(deployment.provider, deployment.model)
    if price is None and settings.UNPRICED_MODELS == "refuse":
        raise ModelUnpriced(f"The model {request.model} has no price yet.", param="model")
    return Meter(attempt_for(call, turns.current, price, model=request.model, number=turns.number))


async def _attempt(request: ChatRequest, meter: Meter, turns: Turns) -> AsyncGenerator[Event, None]:
    """Ask one deployment once. Every ending, also a stopped one, is settled before it is told."""
    deployment = turns.current.deployment
    limited = replace(request, max_tokens=turns.current.max_output_tokens)
    try:
        await meter.hold()
        provider = provider_for(deployment.connection)
        async with aclosing(provider.stream(limited, deployment)) as answer:
            item = await _first(answer, turns.deadline)
            yield Started(
                usage_id=meter.usage_id, provider=deployment.provider, model=deployment.model
            )
            while isinstance(item, Delta):
                meter.note(item)
                yield item
                item = await anext(answer)
        meter.finished(item)
    except ProviderError as error:
        error.hide(deployment.connection.api_key)
        meter.failed(error)
        raise
    except (GeneratorExit, asyncio.CancelledError):
        meter.stopped()
        raise
    finally:
        finished = await meter.settle()
    if item.raw is not None:
        yield Delta(raw=item.raw)
    if finished is not None:
        yield finished


async def _first(answer: AsyncGenerator[Delta | End, None], deadline: float) -> Delta | End:
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(answer)
    except TimeoutError as error:
        raise TimedOut("The model did not answer in time.") from error


def _log(error: ProviderError, call: Call, turns: Turns) -> None:
    logger.warning(
        "llm.attempt_failed",
        provider=turns.current.deployment.provider,
        model=turns.current.deployment.model,
        attempt=turns.number,
        error=type(error).__name__,
        request_id=call.request_id,
    )
