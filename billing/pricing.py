"""What tokens cost: exact decimals, disjoint classes, nothing guessed."""

from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal

from msgspec import Struct

from billing.money import PLACES

MOST_TOKENS = 2**31 - 1  # of a class in one record
ORDINARY = ""  # the service tier of a call that asks for nothing special
# Enough digits for any price and any number of tokens: only the end is rounded, and up.
EXACT = Context(prec=64, rounding=ROUND_UP)
# A vendor may count a few more tokens than we did, and be beyond a threshold with them.
COUNTED_SHORT = 20  # a twentieth


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


class Rates(Struct, frozen=True, omit_defaults=True):
    """What each class costs, in US dollars per million tokens; `None`: as input, or as output."""

    input_usd: Decimal
    output_usd: Decimal
    cached_input_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None
    reasoning_usd: Decimal | None = None
    audio_input_usd: Decimal | None = None
    audio_output_usd: Decimal | None = None


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
    add = EXACT.fma
    millionths = EXACT.multiply(rates.input_usd, usage.input_tokens)
    millionths = add(rates.output_usd, usage.output_tokens, millionths)
    if tokens := usage.cached_input_tokens:
        millionths = add(_or(rates.cached_input_usd, rates.input_usd), tokens, millionths)
    if tokens := usage.cache_write_tokens:
        millionths = add(_or(rates.cache_write_usd, rates.input_usd), tokens, millionths)
    if tokens := usage.reasoning_tokens:
        millionths = add(_or(rates.reasoning_usd, rates.output_usd), tokens, millionths)
    if tokens := usage.audio_input_tokens:
        millionths = add(_or(rates.audio_input_usd, rates.input_usd), tokens, millionths)
    if tokens := usage.audio_output_tokens:
        millionths = add(_or(rates.audio_output_usd, rates.output_usd), tokens, millionths)
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
    service_tier: str | None = None,
) -> Decimal:
    """Return what a call can cost at most: all tokens at their dearest class and tier.

    `service_tier` is the one that was asked for; `None` leaves it to the vendor, who may then serve
    the call in any way that has a price.
    """
    millionths = _worst(price, input_tokens, max_output_tokens)
    longest = input_tokens + input_tokens // COUNTED_SHORT
    for tier in price.tiers:
        if _may_be(tier, service_tier, price) and _is_reached(tier, longest):
            millionths = max(millionths, _worst(tier, input_tokens, max_output_tokens))
    return _total(price, millionths)


def unknown_to(price: PriceSnapshot, usage: TokenUsage, service_tier: str) -> tuple[str, ...]:
    """Return what the price has no rate for, in words; such a call is never priced silently."""
    unknown = []
    if service_tier and not price.knows(service_tier):
        unknown.append(f"service tier {service_tier}")
    if usage.audio_input_tokens or usage.audio_output_tokens:
        rates = rates_for(price, usage.total_input, service_tier)
        if usage.audio_input_tokens and rates.audio_input_usd is None:
            unknown.append("audio input")
        if usage.audio_output_tokens and rates.audio_output_usd is None:
            unknown.append("audio output")
    return tuple(unknown)


def _or(rate: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if rate is None else rate


def _is_reached(tier: Tier, total_input: int) -> bool:
    return not tier.above_tokens or total_input > tier.above_tokens


def _may_be(tier: Tier, asked: str | None, price: PriceSnapshot) -> bool:
    """Return whether a call can end in the tier: as asked for, or as an ordinary one after all."""
    return tier.service_tier in (ORDINARY, asked) or asked is None or not price.knows(asked)


def _worst(rates: Rates, input_tokens: int, output_tokens: int) -> Decimal:
    dearest_input = _dearest(
        rates.input_usd, rates.cached_input_usd, rates.cache_write_usd, rates.audio_input_usd
    )
    dearest_output = _dearest(rates.output_usd, rates.reasoning_usd, rates.audio_output_usd)
    return EXACT.fma(dearest_output, output_tokens, EXACT.multiply(dearest_input, input_tokens))


def _dearest(rate: Decimal, *others: Decimal | None) -> Decimal:
    for other in others:
        if other is not None and other > rate:
            rate = other
    return rate


def _total(price: PriceSnapshot, millionths: Decimal) -> Decimal:
    cost = EXACT.scaleb(millionths, -6)
    if price.request_usd is not None:
        cost = EXACT.add(cost, price.request_usd)
    return EXACT.quantize(cost, PLACES)
