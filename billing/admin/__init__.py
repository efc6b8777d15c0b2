"""Money for staff: prices are added, budgets edited, and what was used is only shown."""

from billing.admin import budgets, prices, usage

__all__ = ["budgets", "prices", "usage"]
