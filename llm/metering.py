"""One attempt's books: the hold before the call, what came of it, the settlement after."""

import asyncio
import time
from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.conf import settings

from billing import ledger
from billing.charges import charge_usd
from billing.ledger import Attempt, Settlement
from billing.models import Outcome
from billing.pricing import ORDINARY, PriceSnapshot, TokenUsage, worst_case_usd
from core.durations import milliseconds_since
from core.errors import DependencyDown
from core.ids import new_id
from core.open_work import OpenWork
from llm import reported_usage, service_tiers, tokens
from llm.errors import ContentFiltered, ProviderError
from llm.routing.plan import Fitting
from llm.types import Call, Delta, End, Finished, FinishReason

logger = structlog.get_logger(__name__)

OUTCOMES: dict[FinishReason, Outcome] = {
    "stop": Outcome.SUCCESS,
    "tool_calls": Outcome.SUCCESS,
    "length": Outcome.PARTIAL,
    "content_filter": Outcome.FILTERED,
}
NOTHING = TokenUsage()
NO_COST = Decimal(0)
LONGEST_NAME = 200  # characters
CALLER_LEFT = "CallerLeft"  # of a stopped attempt, also of one that went on to its end

Result = TypeVar("Result")

_open_work = OpenWork()  # on the books


def attempt_for(
    call: Call,
    fitting: Fitting,
    price: PriceSnapshot | None,
    *,
    model: str,
    number: int,
    service_tier: object = None,
) -> Attempt:
    """Return what the ledger is told before a call: who asks, for what, and the worst case."""
    deployment = fitting.deployment
    return Attempt(
        **asked_by(call),
        attempt=number,
        provider=deployment.provider,
        model_asked=model,
        model_served=deployment.model,
        input_tokens=fitting.input_tokens,
        hold_usd=_worst_case(fitting, price, service_tier),
        price=price,
        service_tier=service_tiers.asked_for(service_tier) or ORDINARY,
    )


async def finish_open_work() -> None:
    """Return when every settlement that was begun has been made, also for callers who have left."""
    await _open_work.finish()
    await ledger.drain()


def go_on(work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
    """Run `work` to its end, although its caller may leave."""
    return _open_work.go_on(work)


class Meter:
    """Counts one attempt, and settles it exactly once however it ends.

    What nobody has called `finished`, `failed` or `stopped` is booked as failed by a fault of ours.
    """

    def __init__(self, attempt: Attempt, comparable_tokens: int = 0) -> None:
        self.settlement: Settlement | None = None  # what was booked
        self.ttft_ms: int | None = None
        self.room_usd: Decimal | None = None  # on hard budgets, with the worst case held
        self._attempt = attempt
        self._comparable_tokens = comparable_tokens  # of input; 0: nothing is learned of them
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._is_held = False
        self._is_over = False
        self._started_at = time.monotonic()
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
        return self.ttft_ms is not None or self._end is not None

    def elapsed_ms(self) -> int:
        """Return how long the attempt has taken so far."""
        return milliseconds_since(self._started_at)

    async def hold(self) -> None:
        """Take the worst case from the budgets; from here on the provider may be called.

        A caller who leaves meanwhile leaves no hold behind: the ledger sees to that.
        """
        self.room_usd = await ledger.hold(self._attempt)
        self._is_held = True
        self._renew_later()

    def spoke(self) -> int:
        """Remember that content has come, and return after how many milliseconds."""
        self.ttft_ms = self.elapsed_ms()
        return self.ttft_ms

    def note(self, delta: Delta) -> None:
        """Count a piece of the answer."""
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
        if isinstance(error, ContentFiltered):
            self._outcome = Outcome.FILTERED
        self._error_class = type(error).__name__
        self._was_billed = error.may_have_been_billed or self.has_spoken

    def stopped(self) -> None:
        """Remember that the caller wants no more; what was produced is to be paid."""
        self._outcome = Outcome.STOPPED
        self._error_class = ""

    def caller_left(self) -> None:
        """Remember that nobody has seen the end of the answer, whether it was made or not."""
        self._error_class = self._error_class or CALLER_LEFT

    async def settle(self) -> Finished | None:
        """Book what the attempt cost; return the end of the answer if there is one.

        A caller that is cancelled here a second time loses nothing: the work goes on without it.
        """
        self._is_over = True
        if self._renewal is not None:
            self._renewal.cancel()
        if not self._is_held:
            return None  # nothing was taken and nobody was called
        reported = self._reported()
        if reported is not None and not self._is_doubtful(reported):
            return await self._book_reported(reported)
        if not self._was_billed:
            return await self._book(NOTHING, is_estimated=False)
        return await asyncio.shield(go_on(self._count_and_book(reported)))

    def _reported(self) -> TokenUsage | None:
        """Return the vendor's own figures, where it gives any that can be."""
        usage = self._end.usage if self._end is not None else None
        return usage if usage is not None and usage.is_bookable else None

    def _is_doubtful(self, reported: TokenUsage) -> bool:
        answer = "".join((*self._text, *self._reasoning))
        return reported_usage.is_doubtful(
            reported, input_tokens=self._comparable_tokens, answer=answer
        )

    async def _book_reported(self, usage: TokenUsage) -> Finished | None:
        tokens.learn(self._attempt.model_served, self._comparable_tokens, usage.total_input)
        self._learn_service_tier()
        return await self._book(usage, is_estimated=False)

    async def _count_and_book(self, reported: TokenUsage | None) -> Finished | None:
        """Book our own count of what was sent and received, unless the report can be true."""
        model = self._attempt.model_served
        text = await tokens.count_soon("".join(self._text), model)
        reasoning = await tokens.count_soon("".join(self._reasoning), model)
        if reported is not None:
            if reported_usage.can_be(
                reported, input_tokens=self._comparable_tokens, output_tokens=text + reasoning
            ):
                return await self._book_reported(reported)
            logger.warning("llm.usage_not_believed", usage_id=str(self.usage_id), model=model)
        usage = TokenUsage(
            input_tokens=self._attempt.input_tokens,
            output_tokens=tokens.corrected(text, model),
            reasoning_tokens=tokens.corrected(reasoning, model),
        )
        return await self._book(usage, is_estimated=True)

    async def _book(self, usage: TokenUsage, *, is_estimated: bool) -> Finished | None:
        # The ledger goes on with it, should the caller be cancelled here.
        end = self._end
        cost = self._cost(usage)
        self.settlement = self._settlement(usage, is_estimated, cost)
        try:
            await ledger.settle(self.settlement)
        except DependencyDown:
            # The answer is true although the books are late; the ledger goes on trying.
            logger.warning("llm.settled_late", usage_id=str(self.usage_id))
        if end is None:
            return None
        return Finished(
            finish_reason=end.finish_reason,
            usage=usage,
            is_estimated=is_estimated,
            cost_usd=cost,
            stop_sequence=end.stop_sequence,
            room_usd=self._room_after(cost),
        )

    def _room_after(self, cost_usd: Decimal | None) -> Decimal | None:
        """Return what was left at the hold, had the true cost been taken instead."""
        if self.room_usd is None:
            return None
        room = self.room_usd + self._attempt.hold_usd - (cost_usd or NO_COST)
        return max(room, NO_COST)  # a call may cost more than its worst case

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
            ttft_ms=self.ttft_ms,
            duration_ms=self.elapsed_ms(),
            model_served=_name(end) or self._attempt.model_served,
            service_tier=self._service_tier(),
        )

    def _cost(self, usage: TokenUsage) -> Decimal | None:
        if usage == NOTHING:
            return NO_COST
        return charge_usd(
            self._attempt.price,
            usage,
            self._service_tier(),
            provider=self._attempt.provider,
            model=self._attempt.model_served,
        )

    def _service_tier(self) -> str:
        """Return how the call was served; where the vendor has not said, what was asked for."""
        if self._end is not None:
            return self._end.service_tier
        return self._attempt.service_tier if self._was_billed else ORDINARY

    def _learn_service_tier(self) -> None:
        made, served = self._attempt, self._service_tier()
        if made.service_tier == ORDINARY and made.price is not None and made.price.knows(served):
            service_tiers.learn(made.provider, made.model_served, served)

    async def _count(self, received: list[str]) -> int:
        model = self._attempt.model_served
        return tokens.corrected(await tokens.count_soon("".join(received), model), model)

    def _renew_later(self) -> None:
        delay = settings.LEASE_SECONDS / 3
        loop = asyncio.get_running_loop()
        self._renewal = loop.call_later(delay, lambda: go_on(self._renew()))

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


def asked_by(call: Call, usage_id: UUID | None = None) -> dict[str, Any]:
    """Return who makes an attempt, on whose behalf and with which words."""
    prompt = call.prompt
    return {
        "id": usage_id or new_id(),
        "request_id": call.request_id,
        "surface": call.surface,
        "principal": call.principal,
        "prompt_name": prompt.name if prompt else "",
        "prompt_version": prompt.version if prompt else None,
        "experiment": prompt.experiment if prompt else "",
        "arm": prompt.arm if prompt else "",
        "unit": prompt.unit if prompt else "",
        "tags": call.tags,
    }


def _name(end: End | None) -> str:
    """Return what the vendor calls its model, as far as it is a name."""
    name = (end.model if end else None) or ""
    return name if len(name) <= LONGEST_NAME and name.isprintable() else ""


def _worst_case(fitting: Fitting, price: PriceSnapshot | None, asked: object) -> Decimal:
    if price is None:
        return NO_COST
    return worst_case_usd(
        price,
        input_tokens=fitting.input_tokens,
        max_output_tokens=fitting.max_output_tokens,
        service_tiers=_reachable(fitting, price, asked),
    )


def _reachable(fitting: Fitting, price: PriceSnapshot, asked: object) -> frozenset[str] | None:
    """Return the service tiers that a call can end in; `None`: nobody knows."""
    tier = service_tiers.asked_for(asked)
    if tier is None:
        return service_tiers.seen(fitting.deployment.provider, fitting.deployment.model)
    return frozenset((tier,)) if price.knows(tier) else None
