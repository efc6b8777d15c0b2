"""What a public list of prices (`genai-prices`) says of a model, in our classes and tiers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from billing.money import shortest
from billing.pricing import ORDINARY, PriceSnapshot, Rates, Tier

CATALOG = "genai-prices"
# Our classes and the list's names of them.
CLASSES = {
    "input_usd": "input_mtok",
    "output_usd": "output_mtok",
    "cached_input_usd": "cache_read_mtok",
    "cache_write_usd": "cache_write_mtok",
    "cache_write_1h_usd": "cache_write_1h_mtok",
    "reasoning_usd": "output_reasoning_mtok",
    "audio_input_usd": "input_audio_mtok",
    "audio_output_usd": "output_audio_mtok",
    "image_input_usd": "input_image_mtok",
    "image_output_usd": "output_image_mtok",
}
FEE = "requests_kcount"  # for a thousand calls
# What the list makes conditions of, where it is what a vendor reports as the service tier.
TIER_CONDITIONS = ("service_tier", "processing", "speed")
ORDINARY_NAMES = ("default", "standard")
# Priced by the list, and not counted apart in usage records.
NOT_COUNTED = {
    "input_video_mtok": "video that is sent",
    "output_video_mtok": "video that is made",
    "output_citation_mtok": "citations",
    "audio_hours": "hours of audio",
    "input_audio_hours": "hours of audio that is sent",
    "input_mchars": "characters",
    "input_document_kpages": "pages of documents",
}
SPEAKING = ("audio", "realtime")  # in the names of models that hear or speak

Amount = Decimal | TieredPrices | None
Amounts = Mapping[str, Amount]


@dataclass(frozen=True, slots=True)
class Listed:
    """A price on the list, and what is to be known before it is used."""

    price: PriceSnapshot
    warnings: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Hourly:
    """A price for some hours of each day."""

    hours: TimeOfDateConstraint
    prices: ModelPrice


def find_listed(vendor_id: str | None, model: str) -> ModelInfo | None:
    """Return what the public list says of a vendor's model; `None` where it is not on it."""
    if vendor_id is None:
        return None
    try:
        _, found = get_snapshot().find_provider_model(model, None, vendor_id, None)
    except LookupError:
        return None
    return found


def read(vendor_id: str | None, model: str, at: datetime) -> Listed | None:
    """Return the public price at a moment; `None` where there is none to price calls by.

    A server of one's own has no `vendor_id`, and so no price, whatever its models' names. Where
    the price depends on the time of the day it is the dearest of the day, and that is a warning.
    """
    found = find_listed(vendor_id, model)
    if found is None:
        return None
    standard, warnings = _standard(found, at)
    if standard.get("output_mtok") is None and "embed" in model:
        standard["output_mtok"] = Decimal(0)  # it gives vectors, which nobody charges for as output
    if standard.get("input_mtok") is None or standard.get("output_mtok") is None:
        return None
    variants, not_understood = _variants(found, standard, at)
    tiers = [*_tiers(ORDINARY, standard)]
    for name, amounts in variants.items():
        tiers += _tiers(name, amounts)
    tiers.sort(key=lambda tier: (tier.above_tokens, tier.service_tier))
    fee = _at(standard.get(FEE), 0)
    price = PriceSnapshot(
        **_rates(standard, 0),
        request_usd=None if fee is None else shortest(fee / 1000),
        tiers=tuple(tiers),
    )
    warnings += [*not_understood, *_unheard(model, price), *_uncounted(standard)]
    return Listed(price, tuple(warnings), found.price_comments or "")


def _standard(found: ModelInfo, at: datetime) -> tuple[dict[str, Amount], list[str]]:
    """Return the amounts of that day; of those that depend on the hour, the dearest."""
    if isinstance(found.prices, ModelPrice):
        return _amounts(found.prices), []
    by_date, by_hour = _in_force(found.prices, at)
    if not by_hour:
        return _amounts(by_date), []
    hours = []
    amounts = _amounts(by_date)
    for one in by_hour:
        hours.append(f"{one.hours.start_time:%H:%M}-{one.hours.end_time:%H:%M}")
        for key, amount in _amounts(one.prices).items():
            amounts[key] = _dearer(amounts.get(key), amount)
    return amounts, [
        f"Costs depend on the time of the day (UTC {', '.join(hours)}); these are the dearest."
    ]


def _in_force(prices: Sequence[ConditionalPrice], at: datetime) -> tuple[ModelPrice, list[Hourly]]:
    """Return the price by date, and those by the hour that take its place for a part of the day."""
    by_hour: list[Hourly] = []
    for one in reversed(prices):  # the last that holds counts
        if isinstance(one.constraint, TimeOfDateConstraint):
            by_hour.insert(0, Hourly(one.constraint, one.prices))
        elif one.constraint is None or one.constraint.active(at):
            return one.prices, by_hour
    return prices[0].prices, by_hour


def _variants(
    found: ModelInfo, standard: Amounts, at: datetime
) -> tuple[dict[str, dict[str, Amount]], list[str]]:
    """Return the amounts for each service tier, and a warning for each other condition."""
    tiers: dict[str, dict[str, Amount]] = {}
    strange: dict[str, None] = {}
    for variant in found.price_variants or ():
        by_date = variant.constraint
        if isinstance(by_date, StartDateConstraint) and not by_date.active(at):
            continue
        condition, *more = variant.when.items()
        if more or condition[0] not in TIER_CONDITIONS or isinstance(by_date, TimeOfDateConstraint):
            strange[", ".join(f"{name} {value}" for name, value in variant.when.items())] = None
        elif condition[1] not in ORDINARY_NAMES:
            own = tiers.setdefault(condition[1], {})
            for key, amount in _amounts(variant.prices).items():
                own.setdefault(key, amount)  # the first that says it counts
    warnings = [f"There is another price for {what}, which is not used." for what in strange]
    return {name: {**standard, **own} for name, own in tiers.items()}, warnings


def _tiers(service_tier: str, amounts: Amounts) -> Iterator[Tier]:
    """Yield what whole calls cost from each threshold on; a service tier begins at none."""
    thresholds = {
        tier.start
        for key in CLASSES.values()
        if isinstance(amount := amounts.get(key), TieredPrices)
        for tier in amount.tiers
    }
    for above in sorted(thresholds | ({0} if service_tier else set())):
        yield Tier(**_rates(amounts, above), service_tier=service_tier, above_tokens=above)


def _rates(amounts: Amounts, above: int) -> dict[str, Decimal]:
    rates = {name: _at(amounts.get(key), above) for name, key in CLASSES.items()}
    return {name: shortest(usd) for name, usd in rates.items() if usd is not None}


def _amounts(price: ModelPrice) -> dict[str, Amount]:
    return {key: amount for key, amount in vars(price).items() if amount is not None}


def _at(amount: Amount, above: int) -> Decimal | None:
    """Return what holds from a threshold on."""
    if not isinstance(amount, TieredPrices):
        return amount
    reached = [tier.price for tier in amount.tiers if tier.start <= above and above]
    return reached[-1] if reached else amount.base


def _dearer(one: Amount, other: Amount) -> Amount:
    first, second = _at(one, 0), _at(other, 0)
    return other if first is None or (second is not None and second > first) else one


def _unheard(model: str, price: Rates) -> Iterator[str]:
    """Yield a warning for each class of audio that a speaking model has no rate for."""
    if not any(word in model for word in SPEAKING):
        return
    rates = {"audio input": price.audio_input_usd, "audio output": price.audio_output_usd}
    missing = [name for name, usd in rates.items() if usd is None]
    if missing:
        yield f"The list has no rate for {' and '.join(missing)}: it would cost as text."


def _uncounted(amounts: Amounts) -> Iterator[str]:
    for key, what in NOT_COUNTED.items():
        if (usd := _at(amounts.get(key), 0)) is not None:
            yield f"The list has a rate for {what} (${shortest(usd):f}), which is not used."
