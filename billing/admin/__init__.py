"""Money for staff: prices are added, budgets edited, and what was used is only shown."""

from billing.admin import alerts, books, budgets, prices, proposals, usage

__all__ = ["alerts", "books", "budgets", "prices", "proposals", "usage"]
