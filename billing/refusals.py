"""What a caller is told whose budget has no room."""

from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_UP

from billing.errors import BudgetExceeded
from billing.ledger_sql import Refused
from billing.money import as_text


def explain(refused: Refused, now: datetime) -> BudgetExceeded:
    """Return the error for a hold that was refused: which budget, what is left, until when."""
    until = "It does not reset."
    retry_after = None
    if refused.ends_at is not None:
        until = f"It resets on {refused.ends_at.astimezone(UTC):%-d %B %Y at %H:%M} UTC."
        retry_after = (refused.ends_at - now).total_seconds()
    left, needed = as_text(refused.room_usd, ROUND_DOWN), as_text(refused.hold_usd, ROUND_UP)
    return BudgetExceeded(
        f"The budget “{refused.budget}” has {left} left of {as_text(refused.limit_usd)}; "
        f"this call may cost up to {needed}. {until}",
        retry_after=retry_after,
        details={
            "budget": refused.budget,
            "room_usd": f"{refused.room_usd.normalize():f}",
            "resets_at": refused.ends_at.astimezone(UTC).isoformat() if refused.ends_at else "",
        },
    )
