"""How the cost of a call comes about, step by step: what `pricing.cost_usd` adds up."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from billing.pricing import (
    EXACT,
    ORDINARY,
    OTHERWISE,
    PriceSnapshot,
    Rates,
    Tier,
    TokenUsage,
    cost_usd,
    rates_for,
    unknown_to,
)

# Classes of tokens in the order in which they are shown, and their words.
WORDS = {
    "input": "Input",
    "output": "Output",
    "cached_input": "Cached input",
    "cache_write": "Cache write",
    "cache_write_1h": "Cache write for an hour",
    "reasoning": "Reasoning",
    "audio_input": "Audio input",
    "audio_output": "Audio output",
    "image_input": "Image input",
    "image_output": "Image output",
}


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
    for name, label in WORDS.items():
        if tokens := getattr(usage, f"{name}_tokens"):
            rate = rates.of(name)
            cost = EXACT.scaleb(EXACT.multiply(rate, tokens), -6)
            yield Step(label, tokens, rate, cost, _stands_for(rates, name))


def _stands_for(rates: Rates, name: str) -> str:
    """Return which rate stands for that of the class, if its own is not set."""
    own = name
    while getattr(rates, f"{name}_usd") is None:
        name = OTHERWISE[name]
    return "" if name == own else f"as {WORDS[name].lower()}"
