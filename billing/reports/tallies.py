"""The tables of the dashboard."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from billing.currency import Money
from billing.models import Outcome
from billing.reports.dimensions import TITLES, as_parameter
from billing.reports.grouping import Group
from billing.reports.queries import NOTHING, Figures
from billing.reports.rates import Rates, money
from billing.reports.rollup_sql import TOKENS
from billing.reports.tables import Column, Kind, Row, Table

if TYPE_CHECKING:
    from billing.reports.dashboard import Report

NOBODY = {
    "user": "Programs without a person",
    "key": "Without a key (chat)",
    "prompt": "No prompt",
    "tier": "Ordinary",
    "surface": "Corrections (of no surface)",
    "error": "",
}
TAGS_NOTE = (
    "A call with two tags counts for each, so these can add up to more than was spent; a call "
    "without a tag is not among them."
)


def table(report: "Report", name: str, title: str, group: Group) -> Table:
    """Return what each of a group has spent, the dearest first."""
    found = sorted(
        report.sums[group].items(), key=lambda one: (-one[1].together_usd, -one[1].attempts)
    )
    most = max((sums.together_usd for _, sums in found), default=Decimal(0))
    before = report.before.get(group)
    rows = [
        Row(
            [
                name_of_group(report, group, values),
                *spending(report.rates, sums),
                None if before is None else _change(sums, before.get(values)),
                *(sums.attempts, sums.tokens, sums.error_rate, sums.hit_rate),
                *(report.money(sums.saved_usd, sums.saved_worth), sums.unpriced),
            ],
            link=_link(report, group, values),
            bar=float(max(Decimal(0), sums.together_usd) / most) if most > 0 else 0.0,
        )
        for values, sums in found
    ]
    head = TITLES[group[-1] if group[0] != "prompt" else "prompt"]
    columns = [
        Column(head, Kind.TEXT),
        *spending_columns(is_adjusted=report.is_adjusted),
        Column("Change", Kind.CHANGE, is_shown=before is not None),
        *(Column("Calls"), Column("Tokens"), Column("Errors", Kind.SHARE)),
        *(Column("From cache", Kind.SHARE), Column("Saved", Kind.MONEY), Column("Unpriced")),
    ]
    note = TAGS_NOTE if group == ("tag",) else ""
    return Table(name, title, columns, rows, csv_link=report.link(csv=name), note=note)


def spending(rates: Rates | None, sums: Figures) -> list[Money]:
    """Return what calls have cost, what corrections have added, and both together."""
    return [
        money(rates, sums.cost_usd, sums.cost_worth),
        money(rates, sums.adjusted_usd, sums.adjusted_worth),
        money(rates, sums.together_usd, sums.together_worth),
    ]


def spending_columns(*, is_adjusted: bool) -> list[Column]:
    """Return the columns of `spending`; a page without corrections shows the first."""
    return [
        Column("Spent", Kind.MONEY),
        Column("Adjusted", Kind.SIGNED, is_shown=is_adjusted),
        Column("Together", Kind.MONEY, is_shown=is_adjusted),
    ]


def token_classes(report: "Report") -> Table:
    """Return the tokens of each class."""
    total = report.total.tokens
    rows = []
    for name in TOKENS:
        count = getattr(report.total, name)
        share = count / total if total else None
        title = name.removesuffix("_tokens").replace("_", " ").capitalize()
        rows.append(Row([title, count, share], bar=share))
    columns = [Column("Class", Kind.TEXT), Column("Tokens"), Column("Share", Kind.SHARE)]
    return Table("tokens", "Tokens by class", columns, rows, csv_link=report.link(csv="tokens"))


def latencies(report: "Report") -> Table:
    """Return how long all answers took, and those of each model."""
    found = report.times[("provider", "model")]
    of_models = sorted(found.items(), key=lambda one: one[0])
    named = [
        ("All models", report.total_times or NOTHING, ""),
        *(
            (
                name_of_group(report, ("provider", "model"), values),
                times,
                report.link(**_parameters(("provider", "model"), values)),
            )
            for values, times in of_models
        ),
    ]
    rows = [
        Row(
            [
                *(name, times.ttft.p50, times.ttft.p95, times.ttft.p99),
                *(times.duration.p50, times.duration.p95, times.duration.p99),
            ],
            link=link,
        )
        for name, times, link in named
    ]
    columns = [
        Column("Model", Kind.TEXT),
        *(Column(f"First token {share}", Kind.TIME) for share in ("p50", "p95", "p99")),
        *(Column(f"Duration {share}", Kind.TIME) for share in ("p50", "p95", "p99")),
    ]
    note = "Without answers from the cache and failures. Up to 41% off, mostly a few percent."
    link = report.link(csv="latency")
    return Table("latency", "How long answers take", columns, rows, csv_link=link, note=note)


def errors(report: "Report") -> Table:
    """Return how calls ended, by outcome and class of error."""
    groups = report.sums[("outcome", "error")].items()
    found = sorted((one for one in groups if one[1].attempts), key=lambda one: -one[1].attempts)
    rows = [
        Row(
            [
                name_of(report, "outcome", outcome),
                error,
                sums.attempts,
                sums.attempts / report.total.attempts,
            ],
            link=report.link(**_parameters(("outcome", "error"), (outcome, error))),
            bar=sums.attempts / report.total.attempts,
        )
        for (outcome, error), sums in found
    ]
    columns = [
        Column("Outcome", Kind.TEXT),
        Column("Error class", Kind.TEXT),
        Column("Calls"),
        Column("Share", Kind.SHARE),
    ]
    return Table("outcomes", "How calls ended", columns, rows, csv_link=report.link(csv="outcomes"))


def growth(report: "Report", groups: Sequence[Group]) -> Table:
    """Return what costs more than in the span before, the most first."""
    rows = []
    for group in groups:
        before = report.before[group]
        for values, sums in report.sums[group].items():
            earlier = before.get(values, Figures())
            more = sums.cost_usd - earlier.cost_usd
            if more > 0 and any(values):
                rows.append(
                    Row(
                        [
                            name_of_group(report, group, values),
                            TITLES["model" if "model" in group else group[0]],
                            report.money(earlier.cost_usd, earlier.cost_worth),
                            report.money(sums.cost_usd, sums.cost_worth),
                            report.money(more, sums.cost_worth - earlier.cost_worth),
                            change(sums.cost_usd, earlier.cost_usd),
                        ],
                        link=_link(report, group, values),
                    )
                )
    rows.sort(key=lambda row: -row.values[4].usd)
    columns = [
        Column("Name", Kind.TEXT),
        Column("What", Kind.TEXT),
        Column("Before", Kind.MONEY),
        Column("Now", Kind.MONEY),
        Column("More", Kind.MONEY),
        Column("Change", Kind.CHANGE),
    ]
    note = f"Compared with the {report.span.days} days before ({report.span.before})."
    link = report.link(csv="growth")
    return Table("growth", "What has grown most", columns, rows, csv_link=link, note=note)


def change(now: Decimal, before: Decimal) -> float | None:
    """Return by which part it is more; None where there was nothing before."""
    return float(now / before - 1) if before else None


def name_of_group(report: "Report", group: Group, values: Sequence[Any]) -> str:
    """Return how a member of a group is called."""
    if group == ("prompt", "version"):
        prompt, version = values
        if not prompt:
            return NOBODY["prompt"]
        return str(prompt) if version is None else f"{prompt} v{version}"
    if group == ("provider", "model"):
        return " · ".join(value for value in reversed(values) if value) or "No model"
    return name_of(report, group[0], values[0])


def name_of(report: "Report", name: str, value: Any) -> str:
    """Return how a value of a dimension is called."""
    if name == "organization":
        return str(report.organizations.get(value, value))
    if name == "cache":
        return "From the cache" if value else "Asked a model"
    if name == "outcome":
        return str(Outcome(value).label)
    return str(value) if value not in ("", None) else NOBODY.get(name, "None")


def _parameters(group: Group, values: Sequence[Any]) -> dict[str, str]:
    """Return the filters for a member of a group; one without a version needs none."""
    return {
        name: as_parameter(name, value)
        for name, value in zip(group, values, strict=True)
        if not (name == "version" and value is None)
    }


def _link(report: "Report", group: Group, values: Sequence[Any]) -> str:
    """Return the page of a member of a group; what corrections have no value of has none."""
    unknown = (name for name, value in zip(group, values, strict=True) if value is None)
    return "" if set(unknown) - {"version"} else report.link(**_parameters(group, values))


def _change(now: Figures, before: Figures | None) -> float | None:
    return None if before is None else change(now.cost_usd, before.cost_usd)
