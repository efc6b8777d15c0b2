"""How the cost of a call comes about, step by step: what `pricing.cost_usd` adds up."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing.pricing import (
    EXACT,
    ORDINARY,
    PriceSnapshot,
    Rates,
    Tier,
    TokenUsage,
    cost_usd,
    rates_for,
    unknown_to,
)

INPUT, OUTPUT = ("input_usd", "as input"), ("output_usd", "as output")
# Classes of tokens, their words, their rates, and the rate that stands for one that is not set.
CLASSES = (
    ("input_tokens", "Input", "input_usd", INPUT),
    ("cached_input_tokens", "Cached input", "cached_input_usd", INPUT),
    ("cache_write_tokens", "Cache write", "cache_write_usd", INPUT),
    ("output_tokens", "Output", "output_usd", OUTPUT),
    ("reasoning_tokens", "Reasoning", "reasoning_usd", OUTPUT),
    ("audio_input_tokens", "Audio input", "audio_input_usd", INPUT),
    ("audio_output_tokens", "Audio output", "audio_output_usd", OUTPUT),
)


@dataclass(frozen=True, slots=True)
class Step:
    """Tokens of a class at their rate, in US dollars per million; not rounded."""

    label: str
    tokens: int | None  # None: the fee for the call
    rate_usd: Decimal
    cost_usd: Decimal
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """The cost of a call, by which rates, and what the price has no rate for."""

    tier: str
    steps: tuple[Step, ...]
    unrounded_usd: Decimal
    cost_usd: Decimal
    unknown: tuple[str, ...]


def explain(price: PriceSnapshot, usage: TokenUsage, service_tier: str = ORDINARY) -> Explained:
    """Return the steps whose sum, rounded up, is the cost of the call."""
    rates = rates_for(price, usage.total_input, service_tier)
    steps = [*_steps(rates, usage)]
    if price.request_usd is not None:
        steps.append(Step("Fee for the call", None, price.request_usd, price.request_usd))
    unrounded = Decimal(0)
    for step in steps:
        unrounded = EXACT.add(unrounded, step.cost_usd)
    return Explained(
        tier=words_of(rates),
        steps=tuple(steps),
        unrounded_usd=unrounded,
        cost_usd=cost_usd(price, usage, service_tier),
        unknown=unknown_to(price, usage, service_tier),
    )


def words_of(rates: Rates) -> str:
    """Return which tier the rates are of."""
    if not isinstance(rates, Tier):
        return "ordinary"
    above = f"above {rates.above_tokens:,} tokens of input" if rates.above_tokens else ""
    return ", ".join(filter(None, (rates.service_tier, above)))


def _steps(rates: Rates, usage: TokenUsage) -> Iterator[Step]:
    for tokens_name, label, rate_name, (otherwise, remark) in CLASSES:
        tokens: int = getattr(usage, tokens_name)
        own: Decimal | None = getattr(rates, rate_name)
        rate: Decimal = getattr(rates, otherwise) if own is None else own
        if tokens:
            cost = EXACT.scaleb(EXACT.multiply(rate, tokens), -6)
            yield Step(label, tokens, rate, cost, remark if own is None else "")
