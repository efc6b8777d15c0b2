"""Money for staff: prices are added, budgets edited, and what was used is only shown."""

from billing.admin import alerts, books, budgets, dashboard, prices, proposals, usage

__all__ = ["alerts", "books", "budgets", "dashboard", "prices", "proposals", "usage"]
