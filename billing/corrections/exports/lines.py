"""What every export is read into, and what is wrong with one that cannot be."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from core.errors import AppError

MOST = Decimal(10**9)  # in a line; more is a mistake in the file


@dataclass(frozen=True, slots=True)
class Cost:
    """What a vendor charged on a day of UTC for a model; "": for something that is no model."""

    day: date
    model: str
    cost_usd: Decimal
    what: str = ""  # the vendor's words for what it is, such as "output"


class ExportUnreadable(AppError):
    """A file is not the export it should be; says where, in plain words."""

    code = "export_unreadable"
    http_status = 400


def amount(value: object, where: str) -> Decimal:
    """Return an amount; raise `ExportUnreadable` for what is none."""
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        raise ExportUnreadable(f"{where}: {value!r} is not an amount.") from None
    if not found.is_finite() or abs(found) > MOST:
        raise ExportUnreadable(f"{where}: {value!r} is not an amount.")
    return found


def in_usd(currency: object, where: str) -> None:
    """Raise `ExportUnreadable` for another currency than US dollars."""
    if str(currency).strip().lower() != "usd":
        raise ExportUnreadable(f"{where}: the currency is {currency!r}, but the books are in USD.")


def day_of(value: object, where: str) -> date:
    """Return the day of UTC of an ISO date or moment, or of seconds since 1970."""
    try:
        if isinstance(value, int | float) or str(value).strip().isdigit():
            return datetime.fromtimestamp(float(str(value)), UTC).date()
        found = datetime.fromisoformat(str(value).strip())
    except (ValueError, OverflowError, OSError):
        raise ExportUnreadable(f"{where}: {value!r} is not a day.") from None
    return found.astimezone(UTC).date() if found.tzinfo else found.date()


def member(row: Any, name: str, where: str) -> Any:
    """Return a member of a JSON object; raise `ExportUnreadable` where it is missing."""
    if not isinstance(row, Mapping) or name not in row:
        raise ExportUnreadable(f"{where}: “{name}” is missing.")
    return row[name]


def members(row: Any, name: str, where: str) -> list[Any]:
    """Return a list that a JSON object has; raise `ExportUnreadable` where it is none."""
    found = member(row, name, where)
    if not isinstance(found, list):
        raise ExportUnreadable(f"{where}: “{name}” is not a list.")
    return found
