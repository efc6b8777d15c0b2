"""Prices as usage records keep them."""

from decimal import Decimal

from billing.pricing import PriceSnapshot


def price_as_json(price: PriceSnapshot | None) -> dict[str, str | None] | None:
    """Return a price as the record keeps it: exact, as text."""
    if price is None:
        return None
    return {
        "input_usd": str(price.input_usd),
        "output_usd": str(price.output_usd),
        "cached_input_usd": _text(price.cached_input_usd),
        "cache_write_usd": _text(price.cache_write_usd),
    }


def price_from_json(price: dict[str, str | None] | None) -> PriceSnapshot | None:
    """Return the price that a record keeps."""
    if price is None:
        return None
    amounts = {name: None if text is None else Decimal(text) for name, text in price.items()}
    return PriceSnapshot(**amounts)  # type: ignore[arg-type]


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
