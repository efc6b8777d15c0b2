"""What tokens cost: exact decimals, disjoint classes, nothing guessed."""

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal

from billing.money import PLACES

MILLION = Decimal(1_000_000)
MOST_TOKENS = 2**31 - 1  # of a class in one record


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens by class. The classes are disjoint: they add up to the vendor's totals."""

    input_tokens: int = 0  # neither read from nor written to the vendor's cache
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0  # without reasoning
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0

    @property
    def is_bookable(self) -> bool:
        """Whether the books can hold it: nothing is negative or beyond their integers."""
        classes = (
            self.input_tokens,
            self.cached_input_tokens,
            self.cache_write_tokens,
            self.output_tokens,
            self.reasoning_tokens,
            self.audio_input_tokens,
            self.audio_output_tokens,
        )
        return min(classes) >= 0 and max(classes) <= MOST_TOKENS

    @property
    def total_input(self) -> int:
        return (
            self.input_tokens
            + self.cached_input_tokens
            + self.cache_write_tokens
            + self.audio_input_tokens
        )

    @property
    def total_output(self) -> int:
        return self.output_tokens + self.reasoning_tokens + self.audio_output_tokens


@dataclass(frozen=True, slots=True)
class PriceSnapshot:
    """A price at the time of a call, in US dollars per million tokens."""

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None  # None: billed as input
    cache_write_usd: Decimal | None = None  # None: billed as input


def cost_usd(price: PriceSnapshot, usage: TokenUsage) -> Decimal:
    """Return the exact cost, rounded up to the last digit that the books keep."""
    cached = price.input_usd if price.cached_input_usd is None else price.cached_input_usd
    written = price.input_usd if price.cache_write_usd is None else price.cache_write_usd
    millionths = (
        (usage.input_tokens + usage.audio_input_tokens) * price.input_usd
        + usage.cached_input_tokens * cached
        + usage.cache_write_tokens * written
        + usage.total_output * price.output_usd
    )
    return (millionths / MILLION).quantize(PLACES, rounding=ROUND_UP)


def worst_case_usd(price: PriceSnapshot, *, input_tokens: int, max_output_tokens: int) -> Decimal:
    """Return what a call can cost at most: all input at its dearest class, all output used."""
    dearest = max(price.input_usd, price.cached_input_usd or 0, price.cache_write_usd or 0)
    millionths = input_tokens * dearest + max_output_tokens * price.output_usd
    return (millionths / MILLION).quantize(PLACES, rounding=ROUND_UP)
