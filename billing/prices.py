"""Prices: which one is in force, how a new one is set, where the first ones come from."""

from decimal import Decimal

from django.db import transaction
from django.utils import timezone
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, TieredPrices

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
    transaction.on_commit(_prices.clear)
    return added


def seed_from_catalog(provider: str, vendor_id: str | None, model: str) -> Price | None:
    """Set the public price of a vendor's model; `None` if it has none, or one is set already.

    A server of one's own has no `vendor_id`, and so no price, whatever its models' names.
    """
    is_set = Price.objects.in_force().filter(provider=provider, model=model).exists()
    found = None if is_set else find_listed(vendor_id, model)
    if found is None:
        return None
    listed = found.get_prices(timezone.now())
    input_usd, output_usd = _base(listed.input_mtok), _base(listed.output_mtok)
    if output_usd is None and "embed" in model:
        output_usd = Decimal(0)  # it gives vectors, which nobody charges for as output
    if input_usd is None or output_usd is None:
        return None
    is_tiered = any(isinstance(price, TieredPrices) for price in vars(listed).values())
    return set_price(
        provider=provider,
        model=model,
        input_usd=input_usd,
        output_usd=output_usd,
        cached_input_usd=_base(listed.cache_read_mtok),
        cache_write_usd=_base(listed.cache_write_mtok),
        source=f"{CATALOG}, base tier (long inputs cost more)" if is_tiered else CATALOG,
    )


def find_listed(vendor_id: str | None, model: str) -> ModelInfo | None:
    """Return what the public list says of a vendor's model; `None` where it is not on it."""
    if vendor_id is None:
        return None
    try:
        _, found = get_snapshot().find_provider_model(model, None, vendor_id, None)
    except LookupError:
        return None
    return found


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


def _base(price: Decimal | TieredPrices | None) -> Decimal | None:
    return price.base if isinstance(price, TieredPrices) else price


_prices: Cached[tuple[str, str], PriceSnapshot | None] = Cached(_load)
