"""What corrections have added to the days of a report, by what they are told apart by.

Read from the posted adjustments themselves: there are no sums of them that could go wrong. An
adjustment has a day and some of the dimensions of a call; of the others it has none, so it is left
out where one of those is filtered by, and stands for itself (`None`) where one is grouped by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Case, CharField, DateTimeField, F, Func, QuerySet, Value, When
from django.utils import timezone

from accounts.principal import Principal
from billing.models import Adjustment
from billing.reports.dimensions import COLUMNS, TITLES
from billing.reports.grouping import Group, Measure, grouped
from billing.reports.queries import Figures
from billing.reports.rates import Rates
from billing.reports.spans import Span

# Dimensions of calls that an adjustment does not have.
MISSING = ("surface", "version", "tier", "outcome", "error", "cache")

A_DAY = timedelta(days=1)

Sums = dict[Group, dict[tuple[Any, ...], Figures]]


def add_adjustments(
    sums: Sums, rows: QuerySet[Adjustment], groups: Sequence[Group], rates: Rates | None = None
) -> None:
    """Add what was adjusted to the sums of each group's members."""
    if rows.query.is_empty():
        return
    measures = [Measure("sum(amount_usd)", is_count=False)]
    if rates is not None:
        measures.append(Measure("sum(amount_usd * rate)", is_count=False))
    for group, members in grouped(rows, groups, measures, ["amount_usd"], rates).items():
        for values, amounts in members.items():
            found = sums[group].get(values, Figures())
            sums[group][values] = replace(
                found,
                adjusted_usd=found.adjusted_usd + amounts[0],
                adjusted_worth=amounts[1] if rates else Decimal(0),
            )


def adjustments_of(
    span: Span,
    filters: Mapping[str, Any],
    *,
    by_hour: bool = False,
    principal: Principal | None = None,
) -> QuerySet[Adjustment]:
    """Return the posted adjustments of a span that fit all filters, with columns as sums have."""
    posted = Adjustment.objects.posted()
    mine = posted if principal is None else posted.visible_to(principal)
    rows = _in(span, mine, by_hour=by_hour)
    for name, value in filters.items():
        if name in MISSING:
            return rows.none()
        column = "tags__contains" if name == "tag" else COLUMNS[name]
        rows = rows.filter(**{column: [value] if name == "tag" else value})
    return rows


def left_out(span: Span, filters: Mapping[str, Any]) -> str:
    """Return in words why adjustments are not in filtered figures; nothing: they are."""
    names = [TITLES[name].lower() for name in filters if name in MISSING]
    if not names or not _in(span, Adjustment.objects.posted()).exists():
        return ""
    return f"Corrections have no {' and no '.join(names)}: they are not in these figures."


def _in(span: Span, rows: QuerySet[Adjustment], *, by_hour: bool = False) -> QuerySet[Adjustment]:
    """Return those of a span. One without a moment belongs to its day's first hour."""
    zone = timezone.get_current_timezone_name()
    midnight = Func(
        F("day"),
        Value(zone),
        template="((%(expressions)s))",
        arg_joiner=")::timestamp AT TIME ZONE (",
        output_field=DateTimeField(),
    )
    parts = ("hour", "UTC") if by_hour else ("day", zone)  # as the sums of calls have them
    moment = Func(
        Value(parts[0]),
        F("at"),
        Value(parts[1]),
        function="date_trunc",
        output_field=DateTimeField(),
    )
    missing = {COLUMNS[name]: Value(None, output_field=CharField()) for name in MISSING}
    # The day of a moment is one of UTC: it may differ by one from ours. The rest is exact.
    near = rows.filter(day__gte=span.first - A_DAY, day__lte=span.last + A_DAY)
    return near.annotate(
        starts_at=Case(When(at=None, then=midnight), default=moment), **missing
    ).filter(starts_at__gte=span.starts_at, starts_at__lt=span.ends_at)
