"""Usage records as the ledger writes them."""

from datetime import datetime
from decimal import Decimal

from billing.entries import Attempt, Settlement
from billing.models import UsageRecord, UsageState
from billing.pricing import PriceSnapshot


def started_row(
    attempt: Attempt, period_ids: list[int], now: datetime, lease_expires_at: datetime
) -> UsageRecord:
    """Return the record of a call that is about to be made."""
    principal = attempt.principal
    return UsageRecord(
        id=attempt.id,
        request_id=attempt.request_id,
        attempt=attempt.attempt,
        surface=attempt.surface,
        organization_id=principal.organization_id,
        user_id=principal.user_id,
        user_name=principal.user_name,
        api_key_id=principal.api_key_id,
        api_key_prefix=principal.api_key_prefix,
        prompt_name=attempt.prompt_name,
        prompt_version=attempt.prompt_version,
        provider=attempt.provider,
        model_asked=attempt.model_asked,
        model_served=attempt.model_served,
        is_cache_hit=attempt.is_cache_hit,
        input_tokens=attempt.input_tokens,
        price=price_as_json(attempt.price),
        hold_usd=attempt.hold_usd,
        budget_period_ids=period_ids,
        started_at=now,
        lease_expires_at=lease_expires_at,
    )


def hit_row(attempt: Attempt, settlement: Settlement, now: datetime) -> UsageRecord:
    """Return the record of an answer from the cache: settled, at no cost."""
    row = started_row(attempt, [], now, now)
    row.state = UsageState.SETTLED
    row.is_cache_hit = True
    row.hold_usd = row.cost_usd = Decimal(0)
    row.outcome = settlement.outcome
    row.finish_reason = settlement.finish_reason
    row.input_tokens = settlement.usage.input_tokens
    row.cached_input_tokens = settlement.usage.cached_input_tokens
    row.cache_write_tokens = settlement.usage.cache_write_tokens
    row.output_tokens = settlement.usage.output_tokens
    row.reasoning_tokens = settlement.usage.reasoning_tokens
    row.ttft_ms = settlement.ttft_ms
    row.duration_ms = settlement.duration_ms
    return row


def price_as_json(price: PriceSnapshot | None) -> dict[str, str | None] | None:
    """Return a price as the record keeps it: exact, as text."""
    if price is None:
        return None
    return {
        "input_usd": str(price.input_usd),
        "output_usd": str(price.output_usd),
        "cached_input_usd": _text(price.cached_input_usd),
        "cache_write_usd": _text(price.cache_write_usd),
    }


def price_from_json(price: dict[str, str | None] | None) -> PriceSnapshot | None:
    """Return the price that a record keeps."""
    if price is None:
        return None
    amounts = {name: None if text is None else Decimal(text) for name, text in price.items()}
    return PriceSnapshot(**amounts)  # type: ignore[arg-type]


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
