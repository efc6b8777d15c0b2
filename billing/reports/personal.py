"""What one person has spent and asked."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.utils import timezone

from accounts.principal import Principal
from billing.currency import Money
from billing.reports import series, tallies
from billing.reports.adjusting import add_adjustments, adjustments_of
from billing.reports.charts import Chart
from billing.reports.dimensions import rows_of
from billing.reports.grouping import Group
from billing.reports.queries import Figures, figures, latency
from billing.reports.rates import Rates, rates_of
from billing.reports.spans import Span
from billing.reports.tables import Column, Kind, Row, Table, shown


class Card(NamedTuple):
    title: str
    value: Money
    note: str


class PersonalReport:
    """The figures of a span, of what a principal may see: their own."""

    def __init__(self, principal: Principal, span: Span) -> None:
        self.principal, self.span, self.rates = principal, span, rates_of(span)
        by_hour = span.is_by_hour
        rows = rows_of(span, {}, by_hour=by_hour).visible_to(principal)
        groups: list[Group] = [(), ("time",), ("provider", "model")]
        self.sums = figures(rows, groups, self.rates)
        adjustments = adjustments_of(span, {}, by_hour=by_hour, principal=principal)
        add_adjustments(self.sums, adjustments, groups, self.rates)
        self.times = {
            moment: found for (moment,), found in latency(rows, [("time",)])[("time",)].items()
        }
        self.by_time = {moment: found for (moment,), found in self.sums[("time",)].items()}
        self.total = self.sums[()].get((), Figures())
        self.is_adjusted = any(found.adjusted_usd for found in self.by_time.values())
        self.is_empty = not (self.total.attempts or self.is_adjusted)

    @property
    def cards(self) -> list[Card]:
        today = timezone.localdate()
        month = Span(today.replace(day=1), today)
        rates = rates_of(month)
        days = self._by_day(month, rates)
        return [
            _card("Today", days.get(Span(today, today).starts_at, Figures()), rates),
            _card("This month", sum(days.values(), Figures()), rates),
            _card(f"{self.span}", self.total, self.rates),
        ]

    @property
    def charts(self) -> list[Chart]:
        return [
            series.spending(self.span, self.by_time, self.rates),
            series.tokens(self.span, self.by_time),
        ]

    def tables(self) -> list[Table]:
        """Return what was spent by model and over time."""
        return [self._models(), self._over_time()]

    def _by_day(self, span: Span, rates: Rates | None) -> dict[datetime, Figures]:
        rows, by_day = rows_of(span, {}).visible_to(self.principal), [("time",)]
        sums = figures(rows, by_day, rates)
        add_adjustments(sums, adjustments_of(span, {}, principal=self.principal), by_day, rates)
        return {moment: found for (moment,), found in sums[("time",)].items()}

    def _models(self) -> Table:
        found = sorted(
            self.sums[("provider", "model")].items(),
            key=lambda one: (-one[1].together_usd, -one[1].attempts),
        )
        most = max((sums.together_usd for _, sums in found), default=Decimal(0))
        rows = [
            Row(
                [
                    " · ".join(name for name in (model, provider) if name) or "No model",
                    *(*tallies.spending(self.rates, sums), sums.attempts, sums.tokens),
                ],
                bar=float(max(Decimal(0), sums.together_usd) / most) if most > 0 else 0.0,
            )
            for (provider, model), sums in found
        ]
        columns = [
            Column("Model", Kind.TEXT),
            *tallies.spending_columns(is_adjusted=self.is_adjusted),
            Column("Calls"),
            Column("Tokens"),
        ]
        return Table("models", "By model", columns, rows, csv_link=self._csv("models"))

    def _over_time(self) -> Table:
        table = series.table(self.span, self.by_time, self.times, self.rates)
        # Days on which something was asked or adjusted.
        rows = [row for row in table.rows if row.values[2].usd or row.values[4]]
        link = self._csv("time")
        return Table("time", table.title, table.columns, rows, shown=31, csv_link=link)

    def _csv(self, name: str) -> str:
        return f"?from={self.span.first}&to={self.span.last}&csv={name}"


def _card(title: str, found: Figures, rates: Rates | None) -> Card:
    _, adjusted, together = tallies.spending(rates, found)
    note = f"{found.attempts:,} calls, {found.tokens:,} tokens"
    if adjusted.usd:
        note += f"; {shown(adjusted, Kind.SIGNED)} of it by corrections"
    return Card(title, together, note)
