"""Money for staff: prices are added, budgets edited, and what was used is only shown."""

from billing.admin import (
    alerts,
    books,
    budgets,
    corrections,
    currency,
    dashboard,
    prices,
    proposals,
    usage,
)

__all__ = [
    "alerts",
    "books",
    "budgets",
    "corrections",
    "currency",
    "dashboard",
    "prices",
    "proposals",
    "usage",
]
