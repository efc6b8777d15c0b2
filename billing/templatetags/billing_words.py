"""Exact amounts of US dollars on pages about the books themselves."""

from decimal import Decimal

from django import template

from billing.money import as_text

register = template.Library()


@register.filter
def usd(amount: Decimal | None) -> str:
    """Return an amount for people; an unknown one is a dash."""
    return "–" if amount is None else f"{'−' if amount < 0 else ''}{as_text(abs(amount))}"


@register.filter
def signed(amount: Decimal) -> str:
    """Return an amount with its sign before the symbol; none for nothing."""
    return as_text(amount) if not amount else f"{'−' if amount < 0 else '+'}{as_text(abs(amount))}"
