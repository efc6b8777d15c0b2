"""What a call is charged; what its price does not cover is said, never passed over."""

from decimal import Decimal

import structlog
from django.conf import settings

from billing.pricing import PriceSnapshot, TokenUsage, cost_usd, unknown_to

logger = structlog.get_logger(__name__)


def charge_usd(
    price: PriceSnapshot | None, usage: TokenUsage, service_tier: str, *, provider: str, model: str
) -> Decimal | None:
    """Return the cost by the tier that was served; `None`: nobody can know it.

    A tier, or a class of tokens, that the price has no rate for is told to the log. It costs as the
    ordinary, or with `PARLEY_UNKNOWN_RATES=unpriced` the whole call has no cost.
    """
    if price is None:
        logger.warning("billing.unpriced", provider=provider, model=model)
        return None
    unknown = unknown_to(price, usage, service_tier)
    if unknown:
        is_tier = not price.knows(service_tier)
        logger.warning(
            "billing.unknown_tier" if is_tier else "billing.unknown_class",
            provider=provider,
            model=model,
            unknown=unknown,
            treated_as=settings.UNKNOWN_RATES,
        )
        if settings.UNKNOWN_RATES == "unpriced":
            return None
    return cost_usd(price, usage, service_tier)
