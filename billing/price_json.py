"""Prices as usage records keep them: the amounts of a `PriceSnapshot`, exact, as text."""

from decimal import Decimal

from billing.pricing import PriceSnapshot


def price_from_json(price: dict[str, str | None] | None) -> PriceSnapshot | None:
    """Return the price that a record keeps."""
    if price is None:
        return None
    amounts = {name: None if text is None else Decimal(text) for name, text in price.items()}
    return PriceSnapshot(**amounts)  # type: ignore[arg-type]
