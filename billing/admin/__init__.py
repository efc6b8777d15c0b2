"""Money for staff: prices are added, budgets edited, and what was used is only shown."""

from billing.admin import books, budgets, prices, proposals, usage

__all__ = ["books", "budgets", "prices", "proposals", "usage"]
