"""How two prices differ, class by class and tier by tier."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from billing.cost_steps import WORDS
from billing.pricing import PriceSnapshot, Rates

CLASSES = {f"{name}_usd": words for name, words in WORDS.items()}
HUNDRED = Decimal(100)

Place = tuple[str, int]  # service tier, threshold


@dataclass(frozen=True, slots=True)
class Change:
    """One rate before and after; `None`: there is none, so another one stands for it."""

    service_tier: str
    above_tokens: int
    label: str
    old_usd: Decimal | None
    new_usd: Decimal | None

    @property
    def is_change(self) -> bool:
        return self.old_usd != self.new_usd

    @property
    def percent(self) -> Decimal | None:
        """By how much the rate rises (or falls: below 0); `None` where that is no number."""
        if self.old_usd == self.new_usd:
            return Decimal(0)
        if not self.old_usd or self.new_usd is None:
            return None
        return (self.new_usd - self.old_usd) / self.old_usd * HUNDRED


def between(old: PriceSnapshot | None, new: PriceSnapshot) -> list[Change]:
    """Return every rate that one of the two prices has, the ordinary ones first."""
    before, after = _places(old), _places(new)
    changes: list[Change] = []
    for place in sorted({*before, *after}):
        changes += _rates(place, before.get(place), after.get(place))
    old_fee, new_fee = old.request_usd if old else None, new.request_usd
    if old_fee is not None or new_fee is not None:
        changes.append(Change("", 0, "Fee for each call", old_fee, new_fee))
    return changes


def largest_percent(changes: list[Change]) -> Decimal | None:
    """Return the largest change up or down; `None` where one is no number: new, or gone."""
    percents = [change.percent for change in changes]
    known = [abs(percent) for percent in percents if percent is not None]
    return max(known, default=Decimal(0)) if len(known) == len(percents) else None


def _places(price: PriceSnapshot | None) -> Mapping[Place, Rates]:
    if price is None:
        return {}
    tiers = {(tier.service_tier, tier.above_tokens): tier for tier in price.tiers}
    return {("", 0): price, **tiers}


def _rates(place: Place, old: Rates | None, new: Rates | None) -> Iterator[Change]:
    for name, label in CLASSES.items():
        amounts = (getattr(old, name, None), getattr(new, name, None))
        if amounts != (None, None):
            yield Change(*place, label, *amounts)
