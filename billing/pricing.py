"""What tokens cost: exact decimals, disjoint classes, nothing guessed."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal
from operator import attrgetter

from msgspec import Struct

from billing.money import PLACES

MOST_TOKENS = 2**31 - 1  # of a class in one record
ORDINARY = ""  # the service tier of a call that asks for nothing special
# Enough digits for any price and any number of tokens: only the end is rounded, and up.
EXACT = Context(prec=64, rounding=ROUND_UP)
# A vendor may count a few more tokens than we did, and be beyond a threshold with them.
COUNTED_SHORT = 20  # a twentieth
# Classes of tokens: `_tokens` of a usage cost `_usd` of a price.
INPUT_CLASSES = (
    *("input", "cached_input", "cache_write", "cache_write_1h", "audio_input", "image_input"),
)
OUTPUT_CLASSES = ("output", "reasoning", "audio_output", "image_output")
CLASSES = (*INPUT_CLASSES, *OUTPUT_CLASSES)
# What a class costs whose own rate is not set.
OTHERWISE = {
    **dict.fromkeys(INPUT_CLASSES[1:], "input"),
    **dict.fromkeys(OUTPUT_CLASSES[1:], "output"),
    "cache_write_1h": "cache_write",
}
# Classes that never cost what stands for them: without a rate, nobody knows what they cost.
SELDOM_ALIKE = {
    "cache_write_1h": "cache write for an hour",
    "audio_input": "audio input",
    "audio_output": "audio output",
    "image_output": "image output",
}


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens by class. The classes are disjoint: they add up to the vendor's totals."""

    input_tokens: int = 0  # neither read from nor written to the vendor's cache
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0  # for some minutes
    output_tokens: int = 0  # without reasoning
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    cache_write_1h_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0

    @property
    def is_bookable(self) -> bool:
        """Whether the books can hold it: nothing is negative or beyond their integers."""
        return all(0 <= tokens <= MOST_TOKENS for tokens in _classes(self))

    @property
    def total_input(self) -> int:
        return (
            self.input_tokens
            + self.cached_input_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.audio_input_tokens
            + self.image_input_tokens
        )

    @property
    def total_output(self) -> int:
        return (
            self.output_tokens
            + self.reasoning_tokens
            + self.audio_output_tokens
            + self.image_output_tokens
        )


_classes = attrgetter(*(f"{name}_tokens" for name in CLASSES))


class Rates(Struct, frozen=True, omit_defaults=True):
    """What each class costs, in US dollars per million tokens; `None`: see `OTHERWISE`."""

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None
    reasoning_usd: Decimal | None = None
    audio_input_usd: Decimal | None = None
    audio_output_usd: Decimal | None = None
    cache_write_1h_usd: Decimal | None = None
    image_input_usd: Decimal | None = None
    image_output_usd: Decimal | None = None

    def of(self, name: str) -> Decimal:
        """Return what a class costs: its own rate, or the one that stands for it."""
        while (usd := getattr(self, f"{name}_usd")) is None:
            name = OTHERWISE[name]
        rate: Decimal = usd
        return rate


class Tier(Rates, frozen=True, omit_defaults=True, kw_only=True):
    """What a whole call costs whose input is longer than this, or that was served in this way."""

    service_tier: str = ORDINARY
    above_tokens: int = 0  # of input; 0: whatever its length


class PriceSnapshot(Rates, frozen=True, omit_defaults=True):
    """A price at the time of a call: its ordinary rates, a fee for each call, and its tiers."""

    request_usd: Decimal | None = None
    tiers: tuple[Tier, ...] = ()  # the lowest threshold first

    def knows(self, service_tier: str) -> bool:
        """Return whether there are rates for calls that were served in this way."""
        return service_tier == ORDINARY or any(
            tier.service_tier == service_tier for tier in self.tiers
        )


def cost_usd(price: PriceSnapshot, usage: TokenUsage, service_tier: str = ORDINARY) -> Decimal:
    """Return the exact cost, rounded up to the last digit that the books keep.

    What the price does not know costs as the ordinary; see `unknown_to`.
    """
    rates = rates_for(price, usage.total_input, service_tier) if price.tiers else price
    millionths = Decimal(0)
    for name, tokens in zip(CLASSES, _classes(usage), strict=True):
        if tokens:
            millionths = EXACT.fma(rates.of(name), tokens, millionths)
    return _total(price, millionths)


def rates_for(price: PriceSnapshot, total_input: int, service_tier: str = ORDINARY) -> Rates:
    """Return the rates of a call by its whole input and by how it was served."""
    served = service_tier if price.knows(service_tier) else ORDINARY
    rates: Rates = price
    for tier in price.tiers:
        if tier.service_tier == served and _is_reached(tier, total_input):
            rates = tier
    return rates


def worst_case_usd(
    price: PriceSnapshot,
    *,
    input_tokens: int,
    max_output_tokens: int,
    service_tiers: Collection[str] | None = None,
) -> Decimal:
    """Return what a call can cost at most: all tokens at their dearest class and tier.

    `service_tiers` are those that the vendor may serve it in beside the ordinary one; `None`: in
    every one that has a price.
    """
    millionths = _worst(price, input_tokens, max_output_tokens)
    longest = input_tokens + input_tokens // COUNTED_SHORT
    for tier in price.tiers:
        if _may_be(tier, service_tiers) and _is_reached(tier, longest):
            millionths = max(millionths, _worst(tier, input_tokens, max_output_tokens))
    return _total(price, millionths)


def unknown_to(price: PriceSnapshot, usage: TokenUsage, service_tier: str) -> tuple[str, ...]:
    """Return what the price has no rate for, in words; such a call is never priced silently."""
    unknown = []
    if service_tier and not price.knows(service_tier):
        unknown.append(f"service tier {service_tier}")
    rates = rates_for(price, usage.total_input, service_tier)
    for name, words in SELDOM_ALIKE.items():
        if getattr(usage, f"{name}_tokens") and getattr(rates, f"{name}_usd") is None:
            unknown.append(words)
    return tuple(unknown)


def _is_reached(tier: Tier, total_input: int) -> bool:
    return not tier.above_tokens or total_input > tier.above_tokens


def _may_be(tier: Tier, reachable: Collection[str] | None) -> bool:
    return tier.service_tier == ORDINARY or reachable is None or tier.service_tier in reachable


def _worst(rates: Rates, input_tokens: int, output_tokens: int) -> Decimal:
    dearest_input = max(filter(None, _input_rates(rates)), default=rates.input_usd)
    dearest_output = max(filter(None, _output_rates(rates)), default=rates.output_usd)
    return EXACT.fma(dearest_output, output_tokens, EXACT.multiply(dearest_input, input_tokens))


_input_rates = attrgetter(*(f"{name}_usd" for name in INPUT_CLASSES))
_output_rates = attrgetter(*(f"{name}_usd" for name in OUTPUT_CLASSES))


def _total(price: PriceSnapshot, millionths: Decimal) -> Decimal:
    cost = EXACT.scaleb(millionths, -6)
    if price.request_usd is not None:
        cost = EXACT.add(cost, price.request_usd)
    return EXACT.quantize(cost, PLACES)
