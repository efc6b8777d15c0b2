"""Prices in words and digits, for the admin's pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from billing.cost_steps import Explained
from billing.money import shortest
from billing.prices.changes import CLASSES, Change

NOT_SET = "not set"


@dataclass(frozen=True, slots=True)
class CostShown:
    """A cost with its steps, each a row of texts."""

    tier: str
    rows: tuple[tuple[str, str, str, str], ...]
    unrounded: str
    total: str
    is_rounded: bool
    unknown: str


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """A rate before and after, as texts."""

    label: str
    old: str
    new: str
    percent: str
    direction: str  # "up", "down", "new", "gone", "same"


def exact(amount: Decimal) -> str:
    """Return an amount with all its digits."""
    return f"${shortest(amount):,f}"


def cost(explained: Explained) -> CostShown:
    """Return what a page shows of a cost."""
    rows = [
        (
            f"{step.label} ({step.remark})" if step.remark else step.label,
            "" if step.tokens is None else f"{step.tokens:,}",
            f"{exact(step.rate_usd)}{'' if step.tokens is None else ' per million'}",
            exact(step.cost_usd),
        )
        for step in explained.steps
    ]
    return CostShown(
        tier=explained.tier,
        rows=tuple(rows),
        unrounded=exact(explained.unrounded_usd),
        total=exact(explained.cost_usd),
        is_rounded=explained.unrounded_usd != explained.cost_usd,
        unknown=", ".join(explained.unknown),
    )


def change(one: Change) -> ChangeShown:
    """Return what a page shows of a change."""
    place = place_of(one.service_tier, one.above_tokens)
    return ChangeShown(
        label=f"{one.label}, {place}" if place else one.label,
        old=NOT_SET if one.old_usd is None else exact(one.old_usd),
        new=NOT_SET if one.new_usd is None else exact(one.new_usd),
        percent=percent(one),
        direction=_direction(one),
    )


def percent(one: Change) -> str:
    """Return by how much a rate changes."""
    if not one.is_change:
        return "the same"
    if one.old_usd is None:
        return "new"
    if one.new_usd is None:
        return "gone"
    by = one.percent
    return "from nothing" if by is None else f"{by:+,.1f} %".replace("-", "−")


def rates(amounts: Mapping[str, Decimal]) -> str:
    """Return the rates that are set."""
    return ", ".join(
        f"{label.lower()} {exact(amounts[name])}"
        for name, label in CLASSES.items()
        if name in amounts
    )


def place_of(service_tier: str, above_tokens: int) -> str:
    """Return which calls a tier is for; of the ordinary rates, nothing."""
    above = f"above {above_tokens:,} tokens of input" if above_tokens else ""
    return " ".join(filter(None, (service_tier, above)))


def _direction(one: Change) -> str:
    if not one.is_change:
        return "same"
    if one.old_usd is None:
        return "new"
    if one.new_usd is None:
        return "gone"
    return "up" if one.new_usd > one.old_usd else "down"
