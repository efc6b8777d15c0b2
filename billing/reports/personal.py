"""What one person has spent and asked."""

from typing import NamedTuple

from django.utils import timezone

from accounts.principal import Principal
from billing.money import as_text
from billing.reports import series
from billing.reports.charts import Chart
from billing.reports.dimensions import rows_of
from billing.reports.queries import Figures, figures, latency
from billing.reports.spans import Span
from billing.reports.tables import Column, Kind, Row, Table


class Card(NamedTuple):
    title: str
    value: str
    note: str


class PersonalReport:
    """The figures of a span, of what a principal may see: their own."""

    def __init__(self, principal: Principal, span: Span) -> None:
        self.principal, self.span = principal, span
        rows = rows_of(span, {}, by_hour=span.is_by_hour).visible_to(principal)
        self.sums = figures(rows, [(), ("time",), ("provider", "model")])
        self.times = {
            moment: found for (moment,), found in latency(rows, [("time",)])[("time",)].items()
        }
        self.by_time = {moment: found for (moment,), found in self.sums[("time",)].items()}
        self.total = self.sums[()].get((), Figures())

    @property
    def cards(self) -> list[Card]:
        today = timezone.localdate()
        days = [
            ("Today", Span(today, today)),
            ("This month", Span(today.replace(day=1), today)),
        ]
        return [
            *(_card(title, self._total(span)) for title, span in days),
            _card(f"{self.span}", self.total),
        ]

    @property
    def charts(self) -> list[Chart]:
        return [series.spending(self.span, self.by_time), series.tokens(self.span, self.by_time)]

    def tables(self) -> list[Table]:
        """Return what was spent by model and over time."""
        return [self._models(), self._over_time()]

    def _total(self, span: Span) -> Figures:
        rows = rows_of(span, {}).visible_to(self.principal)
        return figures(rows, [()])[()].get((), Figures())

    def _models(self) -> Table:
        found = sorted(
            self.sums[("provider", "model")].items(),
            key=lambda one: (-one[1].cost_usd, -one[1].attempts),
        )
        total = self.total.cost_usd
        rows = [
            Row(
                [f"{model} · {provider}", sums.cost_usd, sums.attempts, sums.tokens],
                bar=float(sums.cost_usd / total) if total else 0.0,
            )
            for (provider, model), sums in found
        ]
        columns = [
            Column("Model", Kind.TEXT),
            Column("Spent", Kind.MONEY),
            Column("Calls"),
            Column("Tokens"),
        ]
        return Table("models", "By model", columns, rows, csv_link=self._csv("models"))

    def _over_time(self) -> Table:
        table = series.table(self.span, self.by_time, self.times)
        rows = [row for row in table.rows if row.values[2]] if self.total.attempts else []
        link = self._csv("time")
        return Table("time", table.title, table.columns, rows, shown=31, csv_link=link)

    def _csv(self, name: str) -> str:
        return f"?from={self.span.first}&to={self.span.last}&csv={name}"


def _card(title: str, found: Figures) -> Card:
    return Card(
        title, as_text(found.cost_usd), f"{found.attempts:,} calls, {found.tokens:,} tokens"
    )
