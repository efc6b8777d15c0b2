"""How a refusal is put."""

from core.durations import in_words
from llm.limits.windows import Want
from llm.models import Scope

WHO = {
    Scope.ORGANIZATION: "an organization",
    Scope.USER: "a user",
    Scope.API_KEY: "an API key",
    Scope.IP: "an address",
}
PERIODS = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day"}


def refusal(want: Want, seconds: float | None) -> str:
    """Return what was refused by which limit, and when to come again."""
    rule = want.rule
    allowed = f"The limit “{rule.name}” allows {WHO[Scope(rule.scope)]} {_amount(want)}"
    if seconds is None:
        return f"{allowed}; this call alone may take {want.amount:,}. Ask for less at once."
    return f"{allowed}. Try again in {in_words(seconds)}."


def _amount(want: Want) -> str:
    if want.figure == "parallel":
        return f"{_counted(want.limit, 'call')} at once"
    period = PERIODS.get(want.seconds, f"in {want.seconds:,} seconds")
    return f"{_counted(want.limit, want.figure.removesuffix('s'))} {period}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
