"""What a caller is told whose budget has no room."""

from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from billing.errors import BudgetExceeded
from billing.ledger_sql import Refused
from billing.money import as_text


def explain(refused: Refused, now: datetime) -> BudgetExceeded:
    """Return the error for a hold that was refused: which budget, what is left, until when."""
    left, needed = as_text(refused.room_usd, ROUND_DOWN), as_text(refused.hold_usd, ROUND_UP)
    return BudgetExceeded(
        f"The budget “{refused.budget}” has {left} left of {as_text(refused.limit_usd)}; "
        f"this call may cost up to {needed}. {_outlook(refused)}",
        retry_after=_seconds_until_it_fits(refused, now),
        details={
            "budget": refused.budget,
            "limit_usd": _plain(refused.limit_usd),
            "room_usd": _plain(refused.room_usd),
            "needed_usd": _plain(refused.hold_usd),
            "resets_at": refused.ends_at.astimezone(UTC).isoformat() if refused.ends_at else "",
        },
    )


def _outlook(refused: Refused) -> str:
    """Say what would make room."""
    if refused.hold_usd > refused.limit_usd:
        return "It is more than the whole limit."
    reset = "It does not reset."
    if refused.ends_at is not None:
        reset = f"It resets on {refused.ends_at.astimezone(UTC):%-d %B %Y at %H:%M} UTC."
    if _would_fit_without_running_calls(refused):
        return f"Calls that are running hold the rest. {reset}"
    return reset


def _seconds_until_it_fits(refused: Refused, now: datetime) -> float | None:
    """Return when the call has room for certain; None where that is never or nobody knows."""
    is_too_dear = refused.hold_usd > refused.limit_usd
    if refused.ends_at is None or is_too_dear or _would_fit_without_running_calls(refused):
        return None
    return (refused.ends_at - now).total_seconds()


def _would_fit_without_running_calls(refused: Refused) -> bool:
    return refused.spent_usd + refused.hold_usd <= refused.limit_usd


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
