"""What the ledger is told."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from accounts.principal import Principal
from billing.models import Outcome
from billing.pricing import PriceSnapshot, TokenUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A call that is about to be made: who pays, for what, and what it can cost at most."""

    id: UUID
    request_id: str
    attempt: int
    surface: str
    principal: Principal
    provider: str
    model_asked: str
    model_served: str
    input_tokens: int  # what is sent, as counted before the call
    hold_usd: Decimal
    price: PriceSnapshot | None  # None: the model has no price
    prompt_name: str = ""
    prompt_version: int | None = None
    experiment: str = ""
    arm: str = ""  # of the experiment
    unit: str = ""  # what the arm was drawn for
    tags: tuple[str, ...] = ()
    service_tier: str = ""  # as it was asked for: counts while the vendor has said nothing
    is_cache_hit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ended and what it cost."""

    usage_id: UUID
    outcome: Outcome
    usage: TokenUsage
    is_estimated: bool
    cost_usd: Decimal | None  # None: the model has no price
    ttft_ms: int | None
    duration_ms: int | None
    model_served: str
    finish_reason: str = ""
    error_class: str = ""
    service_tier: str = ""
    saved_usd: Decimal | None = None  # what an answer from the cache would have cost
    is_swept: bool = False  # said by the sweeper: counts only if the lease has run out


@dataclass(frozen=True, slots=True)
class Hold:
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Settle:
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class Hit:
    attempt: Attempt
    settlement: Settlement


@dataclass(frozen=True, slots=True)
class Renewal:
    usage_id: UUID
    output_tokens: int


Entry = Hold | Settle | Hit | Renewal


def void(attempt: Attempt, outcome: Outcome, error_class: str = "") -> Settlement:
    """Return the settlement of an attempt that was never made."""
    return Settlement(
        usage_id=attempt.id,
        outcome=outcome,
        error_class=error_class,
        usage=TokenUsage(),
        is_estimated=False,
        cost_usd=Decimal(0),
        ttft_ms=None,
        duration_ms=None,
        model_served=attempt.model_served,
    )
