"""Why a vendor's bill and the books differ: each difference in parts that add up to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from billing.corrections.books_by_day import Booked

LEAST_DIGIT = Decimal("1e-12")


class Cause(Enum):
    MISSING = "Missing attempts"
    ESTIMATED = "Estimated tokens"
    PRICE = "Other price"
    ROUNDING = "Rounding"
    NOT_OURS = "Not ours"
    NOT_THERE = "Not in the export"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a difference, in US dollars: what the vendor charged more than was booked."""

    cause: Cause
    amount_usd: Decimal
    words: str


@dataclass(frozen=True, slots=True)
class Charged:
    """What a vendor charged for one model on one day."""

    cost_usd: Decimal = Decimal(0)
    rounding_usd: Decimal = Decimal(0)  # the most that its rounded amounts can be off
    name: str = ""


def explain(
    charged: Charged | None, booked: Booked | None, repriced: Callable[[], Decimal]
) -> list[Part]:
    """Return the parts of a difference; `repriced` is what the attempts cost at today's prices."""
    if booked is None or not booked.attempts:
        return _only_charged(charged, booked)
    if charged is None:
        words = "The vendor has no costs of that day and model: not yet, or by another name."
        return _if_any(Cause.NOT_THERE, -booked.cost_usd, words)
    difference = charged.cost_usd - booked.cost_usd
    if abs(difference) <= _rounding(charged, booked):
        return _if_any(Cause.ROUNDING, difference, "The vendor's amounts are rounded.")
    return list(_parts(difference, charged, booked, repriced()))


def _parts(
    difference: Decimal, charged: Charged, booked: Booked, repriced: Decimal
) -> Iterator[Part]:
    by_price = repriced - booked.cost_usd
    if by_price and (by_price > 0) == (difference > 0) and abs(by_price) <= abs(difference) * 2:
        words = "At the prices that are in force now, the same attempts cost so much more or less."
        if booked.unpriced:
            words += f" {booked.unpriced} had no price when they were made."
        closes = abs(difference - by_price) <= _rounding(charged, booked)
        yield Part(Cause.PRICE, difference if closes else by_price, words)
        difference = Decimal(0) if closes else difference - by_price
    yield from _rest(difference, charged, booked)


def _rest(difference: Decimal, charged: Charged, booked: Booked) -> Iterator[Part]:
    if abs(difference) <= _rounding(charged, booked):
        yield from _if_any(Cause.ROUNDING, difference, "The vendor's amounts are rounded.")
    elif booked.unpriced and difference > 0:
        words = f"{booked.unpriced} of {booked.attempts} attempts have no price here."
        yield Part(Cause.PRICE, difference, words)
    elif abs(difference) <= booked.estimated_usd:
        words = (
            f"{booked.estimated} of {booked.attempts} attempts were counted here, because the "
            "vendor did not say how many tokens they had."
        )
        yield Part(Cause.ESTIMATED, difference, words)
    elif difference > 0:
        yield Part(Cause.MISSING, difference, _missing(booked))
    else:
        words = "The vendor charged less: another price, a credit, or a part is not there yet."
        yield Part(Cause.PRICE, difference, words)


def _missing(booked: Booked) -> str:
    words = "The vendor has charged more than these attempts cost: some are not in the books."
    if booked.uncharged:
        words += f" {booked.uncharged} ended early and were booked as free; they may be those."
    return words


def _only_charged(charged: Charged | None, booked: Booked | None) -> list[Part]:
    amount = (charged.cost_usd if charged else Decimal(0)) - (booked.cost_usd if booked else 0)
    words = "No attempt of that day and model went through this provider here."
    return _if_any(Cause.NOT_OURS, amount, words)


def _if_any(cause: Cause, amount: Decimal, words: str) -> list[Part]:
    return [Part(cause, amount, words)] if amount else []


def _rounding(charged: Charged, booked: Booked) -> Decimal:
    """Return how much both may be off: our costs are rounded up in their last digit."""
    return charged.rounding_usd + booked.attempts * LEAST_DIGIT
