"""Amounts on pages: in the display currency where there is one, see `billing.currency`."""

from datetime import date
from decimal import ROUND_DOWN, Decimal

from django import template

from billing import currency

register = template.Library()


@register.filter
def money(amount_usd: Decimal | None, day: date | None = None) -> str:
    """Return an amount of US dollars for people; an unknown one is a dash."""
    return "–" if amount_usd is None else currency.shown(amount_usd, day)


@register.filter
def room(amount_usd: Decimal) -> str:
    """Return what is left for people: rounded down, so that it is never more than there is."""
    return currency.shown(amount_usd, rounding=ROUND_DOWN)


@register.simple_tag
def money_note() -> str:
    """Return the rate that the page's amounts are shown at; nothing where they are US dollars."""
    rate = currency.rate_of()
    return "" if rate is None else f"{rate.words} The books are in US dollars."
