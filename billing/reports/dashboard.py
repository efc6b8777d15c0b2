"""The figures of the dashboard: one pass over the sums for all tables, one for the times."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import add
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from accounts.models import Organization
from billing.alerts.forecast import forecast_usd
from billing.currency import Money
from billing.periods import PeriodKind, period_at
from billing.reports import series, tallies
from billing.reports.adjusting import add_adjustments, adjustments_of, left_out
from billing.reports.charts import Chart
from billing.reports.dimensions import COLUMNS, as_parameter, as_query, models_of, rows_of
from billing.reports.grouping import Group
from billing.reports.queries import Figures, Latency, costs, figures, latency, merged, values
from billing.reports.rates import Rates, money, rates_of
from billing.reports.spans import Span
from billing.reports.tables import Table

# Tables of the page, each by these dimensions.
TABLES: dict[str, tuple[str, Group]] = {
    "models": ("Models", ("provider", "model")),
    "prompts": ("Prompts", ("prompt", "version")),
    "people": ("People", ("user",)),
    "keys": ("API keys", ("key",)),
    "organizations": ("Organizations", ("organization",)),
    "surfaces": ("Surfaces", ("surface",)),
    "tags": ("Tags", ("tag",)),
}
GROWING: tuple[Group, ...] = (("provider", "model"), ("prompt", "version"), ("user",), ("key",))
# Dimensions with few values are read together, and added up from there.
FEW: Group = ("organization", "surface", "tier", "cache", "outcome", "error")
TAG: Group = ("tag",)
TIME: Group = ("time",)
OF_FEW: tuple[Group, ...] = ((), ("organization",), ("surface",), ("outcome", "error"))
CHOICES = ("organization", "surface", "provider", "model", "prompt", "tier", "outcome", "cache")


@dataclass(frozen=True, slots=True)
class Month:
    """What is spent today and this month, and where the month is going."""

    today: Figures
    month: Figures
    forecast_usd: Decimal | None  # of calls, with what is adjusted so far
    rates: Rates | None


class Report:
    """The figures of a span, filtered; each is read once, when it is asked for."""

    def __init__(self, span: Span, filters: Mapping[str, Any]) -> None:
        self.span, self.filters, self.rates = span, filters, rates_of(span)
        by_hour = span.is_by_hour
        rows = rows_of(span, filters, by_hour=by_hour)
        by_model = None if by_hour else models_of(span, filters)
        timed = rows if by_model is None else by_model
        groups: list[Group] = [FEW, TAG, *GROWING]
        self.sums = figures(rows, groups, self.rates) | figures(timed, [TIME], self.rates)
        adjustments = adjustments_of(span, filters, by_hour=by_hour)
        add_adjustments(self.sums, adjustments, [TIME, *groups], self.rates)
        for group in OF_FEW:
            self.sums[group] = merged(self.sums[FEW].items(), FEW, group, add)
        self.times = latency(timed, [(), ("provider", "model"), TIME])
        before = rows_of(span.before, filters, by_hour=span.before.is_by_hour)
        self.before = costs(before, GROWING, rates_of(span.before))
        self.total = self.sums[()].get((), Figures())
        self.total_before = sum(
            (one.cost_usd for one in self.before[GROWING[0]].values()), Decimal(0)
        )
        self.total_times = self.times[()].get(())
        self.organizations = dict(Organization.objects.values_list("pk", "name"))

    @property
    def is_adjusted(self) -> bool:
        """Whether corrections have added anything, or taken it."""
        return any(found.adjusted_usd for found in self.sums[TIME].values())

    @property
    def is_empty(self) -> bool:
        return not (self.total.attempts or self.is_adjusted)

    @property
    def notes(self) -> list[str]:
        """Return what has to be said of the page's amounts."""
        rates_note = self.rates.note if self.rates else ""
        return [note for note in (rates_note, left_out(self.span, self.filters)) if note]

    def money(self, usd: Decimal, worth: Decimal) -> Money:
        """Return an amount of the span with its worth in the display currency."""
        return money(self.rates, usd, worth)

    @property
    def by_time(self) -> dict[datetime, Figures]:
        return {moment: found for (moment,), found in self.sums[TIME].items()}

    @property
    def times_by_time(self) -> dict[datetime, Latency]:
        return {moment: found for (moment,), found in self.times[TIME].items()}

    @property
    def charts(self) -> list[Chart]:
        return [
            series.spending(self.span, self.by_time, self.rates),
            series.tokens(self.span, self.by_time),
            series.first_tokens(self.span, self.times_by_time),
        ]

    @property
    def change(self) -> float | None:
        """How much more was spent than in the span before: 0.5 is half as much again."""
        return tallies.change(self.total.cost_usd, self.total_before)

    def link(self, **changes: str) -> str:
        """Return the address of the page with other filters."""
        query = {"from": str(self.span.first), "to": str(self.span.last)}
        return "?" + urlencode({**query, **as_query(self.filters), **changes})

    def link_without(self, name: str) -> str:
        """Return the address of the page without one of its filters."""
        query = {"from": str(self.span.first), "to": str(self.span.last)}
        rest = {other: value for other, value in self.filters.items() if other != name}
        return "?" + urlencode({**query, **as_query(rest)})

    def records_link(self) -> str:
        """Return the list of the records behind the figures."""
        query: dict[str, str] = {
            "started_at__gte": self.span.starts_at.isoformat(),
            "started_at__lt": self.span.ends_at.isoformat(),
        }
        for name, value in self.filters.items():
            column = "organization__id__exact" if name == "organization" else COLUMNS[name]
            if name != "tag":
                query[column] = str(int(value) if isinstance(value, bool) else value)
        return f"{reverse('admin:billing_usagerecord_changelist')}?{urlencode(query)}"

    def table(self, name: str) -> Table:
        """Return one of the tables by its name; raises `KeyError`."""
        return {table.name: table for table in self.tables()}[name]

    def tables(self) -> list[Table]:
        """Return all tables, those by dimension first."""
        by_dimension = [
            tallies.table(self, name, title, group) for name, (title, group) in TABLES.items()
        ]
        return [
            *by_dimension,
            tallies.token_classes(self),
            tallies.latencies(self),
            tallies.errors(self),
            tallies.growth(self, GROWING),
            series.table(self.span, self.by_time, self.times_by_time, self.rates),
        ]


def month(filters: Mapping[str, Any]) -> Month:
    """Return what is spent today and this month by what fits the filters."""
    now, today = timezone.now(), timezone.localdate()
    zone = str(timezone.get_current_timezone())
    period = period_at(now, kind=PeriodKind.MONTH, time_zone=zone)
    span = Span(today.replace(day=1), today)
    rates, by_model = rates_of(span), models_of(span, filters)
    sums = costs(rows_of(span, filters) if by_model is None else by_model, [TIME], rates)
    add_adjustments(sums, adjustments_of(span, filters), [TIME], rates)
    days = sums[TIME]
    spent = sum(days.values(), Figures())
    expected = forecast_usd(
        spent.cost_usd, starts_at=period.starts_at, ends_at=period.ends_at, now=now
    )
    return Month(
        days.get((Span(today, today).starts_at,), Figures()),
        spent,
        None if expected is None else expected + spent.adjusted_usd,
        rates,
    )


def choices(report: Report) -> dict[str, list[tuple[str, str]]]:
    """Return the values that can be filtered by, each with its name."""
    groups: list[Group] = [FEW, ("provider", "model"), ("prompt", "version")]
    found: Mapping[Group, Iterable[tuple[Any, ...]]] = report.sums
    if report.filters:  # those that the filters leave out can be chosen too
        found = values(rows_of(report.span, {}), groups)
    result = {}
    for name in CHOICES:
        group = next(group for group in groups if name in group)
        there = {member[group.index(name)] for member in found[group]} - {None}
        result[name] = [
            (as_parameter(name, value), tallies.name_of(report, name, value))
            for value in sorted(there, key=str)
        ]
    return result
