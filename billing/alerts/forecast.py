"""What a period will have cost at its end, if it goes on as so far."""

from datetime import datetime, timedelta
from decimal import Decimal

from billing.money import PLACES

TOO_EARLY = Decimal("0.1")  # of the period: before, one busy hour would look like a month
MICROSECOND = timedelta(microseconds=1)


def forecast_usd(
    spent_usd: Decimal, *, starts_at: datetime, ends_at: datetime | None, now: datetime
) -> Decimal | None:
    """Return what was spent, divided by the part of the period that is over.

    `None` in the first tenth of a period, and where there is no end.
    """
    if ends_at is None:
        return None
    elapsed = Decimal((now - starts_at) // MICROSECOND) / ((ends_at - starts_at) // MICROSECOND)
    if elapsed < TOO_EARLY:
        return None
    return (spent_usd / min(elapsed, Decimal(1))).quantize(PLACES)
