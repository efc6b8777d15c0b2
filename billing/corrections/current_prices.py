"""The prices that are in force now, for the names that vendors say they have served."""

import re

from billing.models import Price
from billing.pricing import PriceSnapshot

# 2024-08-06, 20240806, or 0806 at the end of a name.
DATE = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|\d{4})\Z")


class CurrentPrices:
    """One provider's prices, read once; or one price that stands for all of them."""

    def __init__(self, provider: str, chosen: Price | None = None) -> None:
        self._chosen = chosen.snapshot() if chosen else None
        rows = Price.objects.in_force().filter(provider=provider).prefetch_related("tiers")
        self._by_model = {} if chosen else {row.model: row.snapshot() for row in rows}

    def of(self, served: str) -> PriceSnapshot | None:
        """Return a model's price; `None` where it has none.

        Vendors answer with a dated name (`gpt-4o-2024-08-06`) for the one that has a price
        (`gpt-4o`); the date is all that may differ.
        """
        if self._chosen is not None:
            return self._chosen
        return self._by_model.get(served) or self._by_model.get(DATE.sub("", served))
