"""Prices: which one is in force, how a new one is set, where the first ones come from."""

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from genai_prices import Usage, calc_price
from genai_prices.types import TieredPrices

from billing.models import Price
from billing.pricing import PriceSnapshot
from core.cached import Cached

CATALOG = "genai-prices"


async def price_for(provider: str, model: str) -> PriceSnapshot | None:
    """Return the price in force, at most a second old; `None` where there is none."""
    return await _prices.get((provider, model))


@transaction.atomic
def set_price(
    *,
    provider: str,
    model: str,
    input_usd: Decimal,
    output_usd: Decimal,
    source: str = "",
    **cache_usd: Decimal | None,
) -> Price:
    """Set a price from now on, in US dollars per million tokens; the one before ends now.

    `cache_usd` may name `cached_input_usd` and `cache_write_usd`; without, they cost as input.
    """
    now = timezone.now()
    Price.objects.filter(provider=provider, model=model, valid_to=None).update(valid_to=now)
    added = Price.objects.create(
        provider=provider,
        model=model,
        valid_from=now,
        input_usd=input_usd,
        output_usd=output_usd,
        source=source,
        **cache_usd,
    )
    _prices.clear()
    return added


def seed_from_catalog(provider: str, vendor_id: str | None, model: str) -> Price | None:
    """Set the public price of a vendor's model; `None` if it has none, or one is set already."""
    if Price.objects.in_force().filter(provider=provider, model=model).exists():
        return None
    found = _from_catalog(vendor_id, model)
    if found is None:
        return None
    return set_price(
        provider=provider,
        model=model,
        input_usd=found.input_usd,
        output_usd=found.output_usd,
        cached_input_usd=found.cached_input_usd,
        cache_write_usd=found.cache_write_usd,
        source=CATALOG,
    )


def _load(key: tuple[str, str]) -> PriceSnapshot | None:
    provider, model = key
    price = Price.objects.in_force().filter(provider=provider, model=model).first()
    if price is None:
        return None
    return PriceSnapshot(
        input_usd=price.input_usd,
        output_usd=price.output_usd,
        cached_input_usd=price.cached_input_usd,
        cache_write_usd=price.cache_write_usd,
    )


def _from_catalog(vendor_id: str | None, model: str) -> PriceSnapshot | None:
    try:
        prices = calc_price(Usage(input_tokens=1), model, provider_id=vendor_id).model_price
    except LookupError:
        return None
    taken = _base(prices.input_mtok)
    given = _base(prices.output_mtok)
    if taken is None or given is None:
        return None
    return PriceSnapshot(
        input_usd=taken,
        output_usd=given,
        cached_input_usd=_base(prices.cache_read_mtok),
        cache_write_usd=_base(prices.cache_write_mtok),
    )


def _base(price: Decimal | TieredPrices | Any | None) -> Decimal | None:
    """Return a price, or its first tier."""
    if isinstance(price, TieredPrices):
        price = price.base
    return None if price is None else Decimal(str(price))


_prices: Cached[tuple[str, str], PriceSnapshot | None] = Cached(_load)
