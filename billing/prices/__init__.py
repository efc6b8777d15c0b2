"""Prices: which one is in force, how a new one is set, where the first ones come from."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from billing.models import Price, PriceTier
from billing.models.prices import RATES
from billing.prices import catalog
from billing.prices.catalog import CATALOG, find_listed
from billing.pricing import PriceSnapshot, Tier
from core.cached import Cached
from core.errors import AppError

__all__ = [
    "CATALOG",
    "PriceBegins",
    "add",
    "find_listed",
    "in_force",
    "price_for",
    "seed_from_catalog",
    "set_price",
    "set_where_none",
]


class PriceBegins(AppError):
    """Another price of the model begins at that very moment."""

    code = "price_begins"
    http_status = 409


async def price_for(provider: str, model: str) -> PriceSnapshot | None:
    """Return the price in force, at most a second old; `None` where there is none."""
    return await _prices.get((provider, model))


def in_force(provider: str, model: str, at: datetime | None = None) -> PriceSnapshot | None:
    """Return the price of a moment, now unless it is given; `None` where there is none."""
    prices = Price.objects.in_force_at(at or timezone.now()).of(provider, model)
    price = prices.prefetch_related("tiers").first()
    return None if price is None else price.snapshot()


def set_price(
    *,
    provider: str,
    model: str,
    input_usd: Decimal,
    output_usd: Decimal,
    tiers: tuple[Tier, ...] = (),
    source: str = "",
    **rates: Decimal | None,
) -> Price:
    """Set a price from now on, in US dollars per million tokens; the one before ends now.

    `rates` may name what else a `PriceSnapshot` has: cached input and its like, a fee for a call.
    """
    price = PriceSnapshot(input_usd=input_usd, output_usd=output_usd, tiers=tiers, **rates)
    return add(provider=provider, model=model, price=price, source=source)


@transaction.atomic
def add(
    *,
    provider: str,
    model: str,
    price: PriceSnapshot,
    source: str = "",
    valid_from: datetime | None = None,
) -> Price:
    """Add a price from a moment on, now unless given, until the next; the one before ends there.

    What was booked before keeps the price it had. Raises `PriceBegins`.
    """
    begins = valid_from or timezone.now()
    known = Price.objects.of(provider, model).select_for_update()
    if known.filter(valid_from=begins).exists():
        raise PriceBegins("Another price of this model begins at that moment.")
    following = known.filter(valid_from__gt=begins).order_by("valid_from").first()
    known.in_force_at(begins).order_by().update(valid_to=begins)
    added = _row(price, provider=provider, model=model, valid_from=begins, source=source)
    added.valid_to = following.valid_from if following else None
    added.save(force_insert=True)
    PriceTier.objects.bulk_create(_tier(added, tier) for tier in price.tiers)
    transaction.on_commit(_prices.clear)
    return added


def seed_from_catalog(provider: str, vendor_id: str | None, model: str) -> Price | None:
    """Set the public price of a vendor's model; `None` if it has none, or one is set already."""
    if Price.objects.in_force().of(provider, model).exists():
        return None
    listed = catalog.read(vendor_id, model, timezone.now())
    if listed is None:
        return None
    source = ". ".join((CATALOG, *listed.warnings))[:200]
    return add(provider=provider, model=model, price=listed.price, source=source)


@transaction.atomic
def set_where_none(*, provider: str, prices: Mapping[str, PriceSnapshot], source: str) -> None:
    """Set prices, without tiers, from now on for those models that never had one."""
    known = set(
        Price.objects.filter(provider=provider, model__in=prices).values_list("model", flat=True)
    )
    now = timezone.now()
    Price.objects.bulk_create(
        _row(price, provider=provider, model=model, valid_from=now, source=source)
        for model, price in prices.items()
        if model not in known
    )
    transaction.on_commit(_prices.clear)


def _row(
    price: PriceSnapshot, *, provider: str, model: str, valid_from: datetime, source: str
) -> Price:
    return Price(
        provider=provider,
        model=model,
        valid_from=valid_from,
        request_usd=price.request_usd,
        source=source,
        **{name: getattr(price, name) for name in RATES},
    )


def _tier(price: Price, tier: Tier) -> PriceTier:
    return PriceTier(
        price=price,
        service_tier=tier.service_tier,
        above_tokens=tier.above_tokens,
        **{name: getattr(tier, name) for name in RATES},
    )


_prices: Cached[tuple[str, str], PriceSnapshot | None] = Cached(lambda key: in_force(*key))
