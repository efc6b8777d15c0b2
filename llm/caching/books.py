"""What is recorded of an answer that did not have to be made: who got it, and that it was free."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from billing import ledger
from billing.ledger import Attempt, Settlement
from billing.models import Outcome
from billing.pricing import TokenUsage
from llm import events, metering
from llm.types import Call, FinishReason, KeptAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An answer from the cache as the books see it; `usage` is what it would have taken."""

    usage_id: UUID
    provider: str
    model: str
    outcome: Outcome
    finish_reason: FinishReason | None = None
    error_class: str = ""
    usage: TokenUsage = metering.NOTHING
    saved_usd: Decimal | None = None  # what it would have cost
    ttft_ms: int = 0
    duration_ms: int = 0


def hit_of(kept: KeptAnswer, usage_id: UUID) -> Hit:
    """Return the record of an answer that was kept."""
    return Hit(
        usage_id=usage_id,
        provider=kept.provider,
        model=kept.model,
        outcome=metering.OUTCOMES[kept.finish_reason],
        finish_reason=kept.finish_reason,
        usage=kept.usage,
        saved_usd=kept.cost_usd,
    )


async def record(hit: Hit, call: Call, *, model_asked: str) -> None:
    """Write the record; it has ended, and it costs nothing."""
    settlement = _settlement_of(hit)
    await ledger.record_hit(_attempt_of(hit, call, model_asked), settlement)
    events.complete_from_cache(call, model_asked, settlement)


def _attempt_of(hit: Hit, call: Call, model_asked: str) -> Attempt:
    return Attempt(
        **metering.asked_by(call, hit.usage_id),
        attempt=1,
        provider=hit.provider,
        model_asked=model_asked,
        model_served=hit.model,
        input_tokens=hit.usage.total_input,
        hold_usd=metering.NO_COST,
        price=None,
        is_cache_hit=True,
    )


def _settlement_of(hit: Hit) -> Settlement:
    return Settlement(
        usage_id=hit.usage_id,
        outcome=hit.outcome,
        finish_reason=hit.finish_reason or "",
        error_class=hit.error_class,
        usage=hit.usage,
        saved_usd=hit.saved_usd,
        is_estimated=False,
        cost_usd=metering.NO_COST,
        ttft_ms=hit.ttft_ms,
        duration_ms=hit.duration_ms,
        model_served=hit.model,
    )
