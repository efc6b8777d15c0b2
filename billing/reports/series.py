"""Figures over time, as charts and as tables."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.utils import timezone

from billing.currency import Money, written
from billing.reports import charts, tallies
from billing.reports.charts import Chart
from billing.reports.queries import NOTHING, Figures, Latency
from billing.reports.rates import Rates, money
from billing.reports.spans import Span
from billing.reports.tables import Column, Kind, Row, Table, shown

TOKEN_CLASSES = {
    "Input": ("input_tokens", "audio_input_tokens", "image_input_tokens"),
    "Input from the cache": ("cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
    "Output": ("output_tokens", "audio_output_tokens", "image_output_tokens"),
    "Reasoning": ("reasoning_tokens",),
}


def moments(span: Span) -> list[datetime]:
    """Return when each hour or day of a span begins, up to now."""
    now, result = timezone.now(), []
    if span.is_by_hour:
        moment = span.starts_at
        while moment < min(span.ends_at, now):
            result.append(moment)
            moment = _hour_after(moment)
        return result
    days = (Span(span.first + timedelta(days=at), span.last) for at in range(span.days))
    return [day.starts_at for day in days if day.starts_at <= now]


def label(moment: datetime, span: Span) -> str:
    """Return how a moment of a span is called."""
    local = timezone.localtime(moment)
    if not span.is_by_hour:
        return f"{local:%-d %b}"
    return f"{local:%H:%M}" if span.days == 1 else f"{local:%-d %b %H:%M}"


def spending(span: Span, found: Mapping[datetime, Figures], rates: Rates | None) -> Chart:
    """Return bars of what was spent, with what corrections have added."""
    times = moments(span)
    sums = [_at(found, moment) for moment in times]
    amounts = [money(rates, one.together_usd, one.together_worth) for one in sums]
    names = [label(moment, span) for moment in times]
    seen = [max(Decimal(0), amount.seen) for amount in amounts]
    top = charts.nice_top(seen)
    symbol = rates.symbol if rates else "$"
    total = _sum(amounts, symbol)
    return Chart(
        title="Spending",
        summary=f"Spending, {span}: {total} in all, "
        f"{max(amounts, key=lambda one: one.seen, default=total)} at most in "
        f"{'an hour' if span.is_by_hour else 'a day'}.",
        top=written(Decimal(str(top)), symbol),
        middle=written(Decimal(str(top / 2)), symbol),
        ticks=charts.ticks(names),
        legend=[],
        bars=charts.bars(
            [[amount] for amount in seen],
            [_bar_title(*one, rates) for one in zip(names, amounts, sums, strict=True)],
            top,
        ),
    )


def tokens(span: Span, found: Mapping[datetime, Figures]) -> Chart:
    """Return bars of the tokens, a part for each kind."""
    times = moments(span)
    stacks = [
        [_tokens(_at(found, moment), kind) for kind in TOKEN_CLASSES.values()] for moment in times
    ]
    names = [label(moment, span) for moment in times]
    top = charts.nice_top([sum(stack) for stack in stacks])
    return Chart(
        title="Tokens",
        summary=f"Tokens, {span}: {sum(map(sum, stacks)):,} in all.",
        top=_short(top),
        middle=_short(top / 2),
        ticks=charts.ticks(names),
        legend=list(TOKEN_CLASSES),
        bars=charts.bars(
            stacks,
            [f"{name}: {sum(stack):,} tokens" for name, stack in zip(names, stacks, strict=True)],
            top,
        ),
    )


def first_tokens(span: Span, found: Mapping[datetime, Latency]) -> Chart:
    """Return lines of the time to the first token."""
    times = moments(span)
    names = [label(moment, span) for moment in times]
    shares = [found.get(moment, NOTHING).ttft for moment in times]
    series = [[one.p50 for one in shares], [one.p95 for one in shares], [one.p99 for one in shares]]
    known = [value for line in series for value in line if value is not None]
    top = charts.nice_top(known)
    titles = [
        f"{name}: p50 {shown(one.p50, Kind.TIME)}, p95 {shown(one.p95, Kind.TIME)}, "
        f"p99 {shown(one.p99, Kind.TIME)}"
        for name, one in zip(names, shares, strict=True)
    ]
    return Chart(
        title="Time to first token",
        summary=f"Time to first token, {span}: p50, p95 and p99.",
        top=shown(round(top), Kind.TIME),
        middle=shown(round(top / 2), Kind.TIME),
        ticks=charts.ticks(names),
        legend=["p50", "p95", "p99"],
        lines=charts.lines(series, titles, top),
    )


def table(
    span: Span,
    found: Mapping[datetime, Figures],
    times: Mapping[datetime, Latency],
    rates: Rates | None,
) -> Table:
    """Return what the charts show, newest first."""
    rows = []
    for moment in reversed(moments(span)):
        sums, latency = _at(found, moment), times.get(moment, NOTHING)
        kinds = [_tokens(sums, kind) for kind in TOKEN_CLASSES.values()]
        name = moment if span.is_by_hour else timezone.localtime(moment).date()
        rows.append(
            Row(
                [
                    *(name, *tallies.spending(rates, sums), sums.attempts),
                    *(*kinds, *_three(latency), sums.errors),
                ]
            )
        )
    columns = [
        Column("Hour" if span.is_by_hour else "Day", Kind.TEXT),
        *tallies.spending_columns(is_adjusted=any(one.adjusted_usd for one in found.values())),
        Column("Calls"),
        *(Column(kind) for kind in TOKEN_CLASSES),
        *(Column(f"First token {name}", Kind.TIME) for name in ("p50", "p95", "p99")),
        Column("Errors"),
    ]
    return Table("time", "Over time", columns, rows, shown=400)


def _sum(amounts: Sequence[Money], symbol: str) -> str:
    return written(sum((amount.seen for amount in amounts), Decimal(0)), symbol)


def _bar_title(name: str, amount: Money, sums: Figures, rates: Rates | None) -> str:
    """Return a bar in words: the amount, US dollars behind it, and what of it was adjusted."""
    behind = [amount.hint] if amount.hint else []
    if sums.adjusted_usd:
        adjusted = money(rates, sums.adjusted_usd, sums.adjusted_worth)
        behind.append(f"{shown(adjusted, Kind.SIGNED)} by corrections")
    return f"{name}: {amount}" + (f" ({', '.join(behind)})" if behind else "")


def _three(latency: Latency) -> Sequence[int | None]:
    return latency.ttft.p50, latency.ttft.p95, latency.ttft.p99


def _tokens(found: Figures, names: Sequence[str]) -> int:
    return sum(getattr(found, name) for name in names)


def _at(found: Mapping[datetime, Figures], moment: datetime) -> Figures:
    return found.get(moment, Figures())


def _hour_after(moment: datetime) -> datetime:
    # Of the clock, not of the calendar: some hours come twice.
    return (moment.astimezone(UTC) + timedelta(hours=1)).astimezone(moment.tzinfo)


def _short(count: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:g}{unit}"
    return f"{count:g}"
