"""The page of figures: any span, filtered by any dimension, down to the records."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from billing.currency import Money, money_of
from billing.models import BookCheck, Dashboard, RollupProgress
from billing.reports import budgets, spans, tallies
from billing.reports.dashboard import Report, choices, month
from billing.reports.dimensions import TITLES, as_parameter, parse_filters
from billing.reports.queries import NOTHING, Figures
from billing.reports.rates import Rates
from billing.reports.responses import csv_response
from billing.reports.tables import Kind, shown
from core.admin import ReadOnly
from core.errors import InvalidRequest

TYPED = ("user", "key", "version", "tag", "error")  # filters that are typed rather than chosen
BUDGETS_SHOWN = 12


class Card(NamedTuple):
    title: str
    value: str | Money
    note: str = ""
    is_bad: bool = False


class Chip(NamedTuple):
    """A filter in force, and the address of the page without it."""

    title: str
    value: str
    link: str


class Choice(NamedTuple):
    name: str
    title: str
    value: str
    options: list[tuple[str, str]]  # none: it is typed


@admin.register(Dashboard)
class DashboardAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Shown to who may view it; everything on it leads to the rows behind it."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        error, query = "", request.GET.dict()
        try:
            span, filters = spans.parse(query), parse_filters(query)
        except InvalidRequest as wrong:
            error, span, filters = wrong.message, spans.parse({}), {}
        report = Report(span, filters)
        if query.get("csv") and not error:
            return _csv(report, query["csv"])
        context = {
            **self.admin_site.each_context(request),
            "title": "Dashboard",
            "opts": self.opts,
            "error": error,
            **_context(report),
        }
        page = "admin/billing/dashboard/page.html"
        return TemplateResponse(request, page, context, status=400 if error else 200)

    def change_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        raise Http404  # it is a page, not rows


def _csv(report: Report, name: str) -> HttpResponse:
    try:
        table = report.table(name)
    except KeyError:
        raise Http404(f"There is no table {name!r}.") from None
    return csv_response(f"{name} {report.span}", table.as_csv())


def _context(report: Report) -> dict[str, Any]:
    tables = {table.name: table for table in report.tables()}
    over_time = tables.pop("time")
    organization_id = report.filters.get("organization")
    return {
        "span": report.span,
        "presets": _presets(report),
        "chips": _chips(report),
        "fields": _fields(report),
        "cards": _cards(report),
        "charts": report.charts,
        "over_time": over_time,
        "over_time_csv": report.link(csv="time"),
        "tables": [table for table in tables.values() if table.rows],
        "standings": budgets.standings(budgets.of_organization(organization_id))[:BUDGETS_SHOWN],
        "records_link": report.records_link(),
        "book_check": BookCheck.objects.first(),
        "progress": RollupProgress.objects.first(),
        "is_empty": report.is_empty,
        "notes": report.notes,
        "corrections_link": _corrections_link(report),
        "reset_link": reverse("admin:billing_dashboard_changelist"),
    }


def _cards(report: Report) -> list[Card]:
    total, times = report.total, report.total_times or NOTHING
    saved = report.money(total.saved_usd, total.saved_worth)
    return [
        *_spending(report),
        Card("Calls", f"{total.attempts:,}", f"{total.requests:,} requests"),
        Card(
            "Errors",
            shown(total.error_rate, Kind.SHARE),
            f"{total.errors:,} of the calls that asked a model",
            is_bad=(total.error_rate or 0) > 0.05,
        ),
        Card(
            "First token, p95",
            shown(times.ttft.p95, Kind.TIME),
            f"p50 {shown(times.ttft.p50, Kind.TIME)}, p99 {shown(times.ttft.p99, Kind.TIME)}",
        ),
        Card(
            "From the cache",
            shown(total.hit_rate, Kind.SHARE),
            f"{saved} saved",
        ),
        Card(
            "Unpriced",
            f"{total.unpriced:,}",
            "calls whose cost is not known",
            is_bad=total.unpriced > 0,
        ),
    ]


def _spending(report: Report) -> list[Card]:
    """Return what was spent; with corrections, what they have added and both together."""
    now, rates = month(report.filters), report.rates
    forecast = "too early for a forecast"
    if now.forecast_usd is not None:
        forecast = f"{money_of(now.forecast_usd)} at its end, at this pace"
    more = "nothing in the span before"
    if report.change is not None:
        more = f"{shown(report.change, Kind.CHANGE)} to the span before"
    spent, adjusted, together = tallies.spending(rates, report.total)
    cards = [
        _spent("Spent today", now.today, now.rates),
        _spent("Spent this month", now.month, now.rates, forecast),
        Card("Spent in the span", spent, more),
    ]
    if not report.is_adjusted:
        return cards
    total = Card("Together", together, "spent in the span and adjusted")
    return [*cards, Card("Adjusted", shown(adjusted, Kind.SIGNED), "by corrections"), total]


def _spent(title: str, sums: Figures, rates: Rates | None, note: str = "") -> Card:
    """Return what was spent, with what corrections have added to it."""
    _, adjusted, together = tallies.spending(rates, sums)
    if adjusted.usd:
        said = f"{shown(adjusted, Kind.SIGNED)} of it by corrections"
        note = f"{said}; {note}" if note else said
    return Card(title, together, note)


def _corrections_link(report: Report) -> str:
    """Return the corrections behind what was adjusted; nothing: there are none."""
    if not report.is_adjusted:
        return ""
    return f"{reverse('admin:billing_correction_changelist')}?state__exact=posted"


def _presets(report: Report) -> list[tuple[str, str, bool]]:
    """Return the name and the address of each preset, and whether it is shown."""
    result = []
    for name, (title, _) in spans.PRESETS.items():
        span = spans.parse({"period": name})
        link = report.link(**{"from": str(span.first), "to": str(span.last)})
        result.append((title, link, span == report.span))
    return result


def _chips(report: Report) -> list[Chip]:
    return [
        Chip(
            TITLES[name],
            tallies.name_of(report, name, value),
            report.link_without(name),
        )
        for name, value in report.filters.items()
    ]


def _fields(report: Report) -> list[Choice]:
    values: Mapping[str, str] = {
        name: as_parameter(name, value) for name, value in report.filters.items()
    }
    chosen = [
        Choice(name, TITLES[name], values.get(name, ""), options)
        for name, options in choices(report).items()
        if len(options) > 1 or name in values
    ]
    typed = [Choice(name, TITLES[name], values.get(name, ""), []) for name in TYPED]
    return [*chosen, *typed]
