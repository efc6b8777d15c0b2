"""One attempt's books: the hold before the call, what came of it, the settlement after."""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import astuple
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.conf import settings

from billing import ledger
from billing.ledger import Attempt, Settlement
from billing.models import Outcome
from billing.pricing import PriceSnapshot, TokenUsage, cost_usd, worst_case_usd
from core.errors import AppError, DependencyDown
from core.ids import new_id
from llm import tokens
from llm.errors import ProviderError
from llm.guard import Fitting
from llm.types import Call, Delta, End, Finished, FinishReason, KeptAnswer

logger = structlog.get_logger(__name__)

OUTCOMES: dict[FinishReason, Outcome] = {
    "stop": Outcome.SUCCESS,
    "tool_calls": Outcome.SUCCESS,
    "length": Outcome.PARTIAL,
    "content_filter": Outcome.FILTERED,
}
NOTHING = TokenUsage()
NO_COST = Decimal(0)
MOST_TOKENS = 2**31 - 1  # what the books can hold
LONGEST_NAME = 200  # characters

Result = TypeVar("Result")

# Work on the books outlives its caller, and the event loop alone would forget the task.
_open_work: set[asyncio.Task[Any]] = set()


def attempt_for(
    call: Call, fitting: Fitting, price: PriceSnapshot | None, *, model: str, number: int
) -> Attempt:
    """Return what the ledger is told before a call: who asks, for what, and the worst case."""
    return Attempt(
        **_asked_by(call),
        attempt=number,
        provider=fitting.deployment.provider,
        model_asked=model,
        model_served=fitting.deployment.model,
        input_tokens=fitting.input_tokens,
        hold_usd=_worst_case(fitting, price),
        price=price,
    )


async def record_hit(call: Call, kept: KeptAnswer, *, model_asked: str) -> UUID:
    """Record an answer from the cache: who got it, what it would have taken, and no cost."""
    attempt = Attempt(
        **_asked_by(call),
        attempt=1,
        provider=kept.provider,
        model_asked=model_asked,
        model_served=kept.model,
        input_tokens=kept.usage.total_input,
        hold_usd=NO_COST,
        price=None,
        is_cache_hit=True,
    )
    settlement = Settlement(
        usage_id=attempt.id,
        outcome=OUTCOMES[kept.finish_reason],
        finish_reason=kept.finish_reason,
        usage=kept.usage,
        is_estimated=False,
        cost_usd=NO_COST,
        ttft_ms=0,
        duration_ms=0,
        model_served=kept.model,
    )
    await ledger.record_hit(attempt, settlement)
    return attempt.id


async def finish_open_work() -> None:
    """Return when every hold and settlement that was begun has been made."""
    while _open_work:
        await asyncio.wait(_open_work)


class Meter:
    """Counts one attempt, and settles it exactly once however it ends.

    What nobody has called `finished`, `failed` or `stopped` is booked as failed by a fault of ours.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._is_called = False
        self._is_over = False
        self._started_at = time.monotonic()
        self._ttft_ms: int | None = None
        self._hold: asyncio.Task[None] | None = None
        self._renewal: asyncio.TimerHandle | None = None
        self._outcome = Outcome.FAILED
        self._error_class = "InternalError"
        self._end: End | None = None
        self._was_billed = True

    @property
    def usage_id(self) -> UUID:
        return self._attempt.id

    @property
    def has_spoken(self) -> bool:
        return self._ttft_ms is not None or self._end is not None

    async def hold(self) -> None:
        """Take the worst case from the budgets; from here on the provider may be called."""
        self._hold = _begin(ledger.hold(self._attempt))
        await asyncio.shield(self._hold)
        self._is_called = True
        self._renew_later()

    def note(self, delta: Delta) -> None:
        """Count a piece of the answer."""
        if self._ttft_ms is None:
            self._ttft_ms = _milliseconds_since(self._started_at)
        if delta.text:
            self._text.append(delta.text)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        for call in delta.tool_calls:
            self._text += (call.name or "", call.arguments)

    def finished(self, end: End) -> None:
        """Remember that the vendor ended its answer."""
        self._end = end
        self._outcome = OUTCOMES[end.finish_reason]
        self._error_class = ""

    def failed(self, error: ProviderError) -> None:
        """Remember why the vendor did not answer, and whether it may charge all the same."""
        self._error_class = type(error).__name__
        self._was_billed = error.may_have_been_billed or self.has_spoken

    def stopped(self) -> None:
        """Remember that the caller wants no more; what was produced is to be paid."""
        self._outcome = Outcome.STOPPED
        self._error_class = ""

    async def settle(self) -> Finished | None:
        """Book what the attempt cost; return the end of the answer if there is one.

        A caller that is cancelled here a second time loses nothing: the work goes on without it.
        """
        self._is_over = True
        if self._renewal is not None:
            self._renewal.cancel()
        return await asyncio.shield(_begin(self._settle()))

    async def _settle(self) -> Finished | None:
        if self._hold is None or not await _is_held(self._hold):
            return None  # nothing was taken and nobody was called
        usage, is_estimated = await self._usage()
        cost = _cost(usage, self._attempt.price)
        try:
            await ledger.settle(self._settlement(usage, is_estimated, cost))
        except DependencyDown:
            # The answer is true although the books are late; the ledger goes on trying.
            logger.warning("llm.settled_late", usage_id=str(self.usage_id))
        if self._end is None:
            return None
        return Finished(
            finish_reason=self._end.finish_reason,
            usage=usage,
            is_estimated=is_estimated,
            cost_usd=cost,
        )

    def _settlement(
        self, usage: TokenUsage, is_estimated: bool, cost_usd: Decimal | None
    ) -> Settlement:
        end = self._end
        return Settlement(
            usage_id=self.usage_id,
            outcome=self._outcome,
            finish_reason=end.finish_reason if end else "",
            error_class=self._error_class,
            usage=usage,
            is_estimated=is_estimated,
            cost_usd=cost_usd,
            ttft_ms=self._ttft_ms,
            duration_ms=_milliseconds_since(self._started_at),
            model_served=_name(end) or self._attempt.model_served,
        )

    async def _usage(self) -> tuple[TokenUsage, bool]:
        """Return the vendor's figures, or our own count of what was sent and received."""
        reported = self._end.usage if self._end is not None else None
        if reported is not None and _is_plausible(reported):
            return reported, False
        if not (self._is_called and self._was_billed):
            return NOTHING, False
        return TokenUsage(
            input_tokens=self._attempt.input_tokens,
            output_tokens=await self._count(self._text),
            reasoning_tokens=await self._count(self._reasoning),
        ), True

    async def _count(self, received: list[str]) -> int:
        return await tokens.count_soon("".join(received), self._attempt.model_served)

    def _renew_later(self) -> None:
        delay = settings.LEASE_SECONDS / 3
        loop = asyncio.get_running_loop()
        self._renewal = loop.call_later(delay, lambda: _begin(self._renew()))

    async def _renew(self) -> None:
        """Tell the ledger that the call is alive, and what it has produced so far."""
        output = await self._count(self._text) + await self._count(self._reasoning)
        if self._is_over:
            return
        self._renew_later()
        try:
            await ledger.renew(self.usage_id, output)
        except DependencyDown:
            logger.warning("llm.lease_not_renewed", usage_id=str(self.usage_id))


def _asked_by(call: Call) -> dict[str, Any]:
    return {
        "id": new_id(),
        "request_id": call.request_id,
        "surface": call.surface,
        "principal": call.principal,
        "prompt_name": call.prompt.name if call.prompt else "",
        "prompt_version": call.prompt.version if call.prompt else None,
    }


def _begin(work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    task = asyncio.get_running_loop().create_task(work)
    _open_work.add(task)
    task.add_done_callback(_open_work.discard)
    return task


async def _is_held(hold: asyncio.Task[None]) -> bool:
    """Return whether the row was written; its caller may have left while it was."""
    try:
        await hold
    except AppError:
        return False
    return True


def _is_plausible(usage: TokenUsage) -> bool:
    return all(0 <= tokens <= MOST_TOKENS for tokens in astuple(usage))


def _name(end: End | None) -> str:
    """Return what the vendor calls its model, as far as it is a name."""
    name = (end.model if end else None) or ""
    return name if len(name) <= LONGEST_NAME and name.isprintable() else ""


def _cost(usage: TokenUsage, price: PriceSnapshot | None) -> Decimal | None:
    if usage == NOTHING:
        return NO_COST
    return None if price is None else cost_usd(price, usage)


def _worst_case(fitting: Fitting, price: PriceSnapshot | None) -> Decimal:
    if price is None:
        return NO_COST
    return worst_case_usd(
        price,
        input_tokens=fitting.input_tokens,
        max_output_tokens=fitting.max_output_tokens,
    )


def _milliseconds_since(moment: float) -> int:
    return round((time.monotonic() - moment) * 1000)
