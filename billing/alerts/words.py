"""What alerts say: to people in words, to programs in facts."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.models import Alert, AlertKind, BookCheck, Budget, BudgetPeriod, Overrun
from billing.money import as_text

MOST_LINES = 20


def threshold(period: BudgetPeriod, percent: int, now: datetime) -> Alert:
    """Return the alert that so many percent of a budget's limit are spent."""
    budget = period.budget
    return _of_period(
        period,
        AlertKind.THRESHOLD,
        f"{budget.name}: {percent}% of the limit is spent",
        f"{_spent(period)} {_consequence(budget)}",
        now,
        threshold_percent=percent,
    )


def forecast(period: BudgetPeriod, forecast_usd: Decimal, now: datetime) -> Alert:
    """Return the alert that a budget does not last until its period ends."""
    budget = period.budget
    share = _percent(forecast_usd, budget.limit_usd)
    of_limit = "above the limit" if share is None else f"{share}% of the limit"
    return _of_period(
        period,
        AlertKind.FORECAST,
        f"{budget.name}: at this pace, {of_limit} by the end",
        f"At the pace so far it will be {as_text(forecast_usd)} at the end of the period. "
        f"{_spent(period)} {_consequence(budget)}",
        now,
        forecast_usd=_plain(forecast_usd),
    )


def overrun(period: BudgetPeriod, over_usd: Decimal, calls: int, now: datetime) -> Alert:
    """Return the alert that calls have cost more than was held for them."""
    what = "A call has" if calls == 1 else f"{calls} calls have"
    return _of_period(
        period,
        AlertKind.OVERRUN,
        f"{period.budget.name}: a call cost more than was held for it",
        f"{what} cost {as_text(over_usd)} more than the worst case that was held. It is booked in "
        f"full, so a hard limit may be exceeded by it. {_spent(period)} Compare the price and the "
        "output limit of the model with what the provider says. Other such calls of this period "
        "bring no further alert.",
        now,
        overrun_usd=_plain(over_usd),
        overrun_calls=calls,
    )


def corrected(row: Overrun, now: datetime) -> Alert:
    """Return the alert that a correction was posted beyond a hard limit: once for each."""
    period = row.period
    alert = _of_period(
        period,
        AlertKind.OVERRUN,
        f"{period.budget.name}: a correction was posted beyond the limit",
        f"A correction has added {as_text(row.cost_usd)}, of which {as_text(row.over_usd)} had no "
        f"room below the limit: “{row.correction}”. {_spent(period)} {_consequence(period.budget)}",
        now,
        overrun_usd=_plain(row.over_usd),
        correction_id=row.correction_id,
    )
    alert.key += f"correction-{row.correction_id}"
    return alert


def unpriced(provider: str, model: str, now: datetime) -> Alert:
    """Return the alert that a model is used whose price nobody knows: once a month."""
    return Alert(
        key=f"{AlertKind.UNPRICED}:{provider}/{model}:{now:%Y-%m}",
        kind=AlertKind.UNPRICED,
        title=f"{model} of {provider} is used and has no price",
        text="What it costs is not known, so these calls count on no budget. Set a price in the "
        "admin; calls after it are paid for.",
        facts={"provider": provider, "model": model},
        created_at=now,
    )


def books(check: BookCheck, now: datetime) -> Alert:
    """Return the alert that the books do not balance: once a day."""
    count = check.difference_count
    said = "1 difference" if count == 1 else f"{count} differences"
    lines = check.lines[:MOST_LINES]
    return Alert(
        key=f"{AlertKind.BOOKS}:{check.started_at:%Y-%m-%d}",
        kind=AlertKind.BOOKS,
        title=f"The books do not balance: {said}",
        text="\n".join(
            [f"Found on {check.started_at:%Y-%m-%d at %H:%M} UTC.", *lines]
            + (["There are more."] if count > len(lines) else [])
        ),
        facts={"differences": count, "lines": lines},
        created_at=now,
    )


def _of_period(
    period: BudgetPeriod,
    kind: AlertKind,
    title: str,
    text: str,
    now: datetime,
    **facts: Any,
) -> Alert:
    budget = period.budget
    threshold_percent = facts.get("threshold_percent", "")
    return Alert(
        key=f"{kind}:{budget.pk}:{period.starts_at:%Y-%m-%dT%H:%MZ}:{threshold_percent}",
        kind=kind,
        organization_id=budget.organization_id,
        budget=budget,
        title=title,
        text=text,
        facts=_facts(period) | facts,
        created_at=now,
    )


def _facts(period: BudgetPeriod) -> dict[str, Any]:
    budget = period.budget
    return {
        "organization": budget.organization.slug,
        "budget_id": budget.pk,
        "budget": budget.name,
        "is_hard": budget.is_hard,
        "period": budget.period,
        "period_starts_at": period.starts_at.isoformat(),
        "period_ends_at": period.ends_at.isoformat() if period.ends_at else None,
        "limit_usd": _plain(budget.limit_usd),
        "spent_usd": _plain(period.spent_usd),
        "spent_percent": _percent(period.spent_usd, budget.limit_usd),
    }


def _spent(period: BudgetPeriod) -> str:
    budget = period.budget
    share = _percent(period.spent_usd, budget.limit_usd)
    said = "" if share is None else f" ({share}%)"
    return (
        f"{as_text(period.spent_usd)} of {as_text(budget.limit_usd)}{said} is spent by "
        f"{budget.organization} on “{budget.name}”{_time_of(period)}."
    )


def _time_of(period: BudgetPeriod) -> str:
    if period.ends_at is None:
        return ""
    zone = ZoneInfo(period.budget.time_zone)
    begin, end = (f"{one.astimezone(zone):%Y-%m-%d}" for one in (period.starts_at, period.ends_at))
    return f" in the {period.budget.period} from {begin}, which ends when {end} begins ({zone})"


def _consequence(budget: Budget) -> str:
    if budget.is_hard:
        return "The budget is hard: calls that do not fit into the rest are refused."
    return "The budget is soft: it refuses nothing."


def _percent(part_usd: Decimal, whole_usd: Decimal) -> int | None:
    """Return whole percent, rounded down; `None` of nothing."""
    return int(part_usd * 100 / whole_usd) if whole_usd else None


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
