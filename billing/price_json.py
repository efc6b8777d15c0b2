"""Prices as usage records and proposals keep them: a `PriceSnapshot`, exact, as text."""

from collections.abc import Mapping
from typing import Any

import msgspec

from billing.pricing import PriceSnapshot


def price_from_json(price: Mapping[str, Any] | None) -> PriceSnapshot | None:
    """Return the price that a record keeps; what it does not know of, an old one leaves out."""
    return None if price is None else msgspec.convert(price, PriceSnapshot)


def price_to_json(price: PriceSnapshot) -> dict[str, Any]:
    """Return the price for a JSON column; its amounts are text."""
    kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(price))
    return kept
