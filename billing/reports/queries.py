"""Reading the sums: all groups of a page in one pass over the rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from billing.models import Outcome, UsageRollup
from billing.reports.dimensions import COLUMNS
from billing.reports.histograms import quantile_ms
from billing.reports.rollup_sql import HISTOGRAMS, SUMS, TOKENS, histogram_sum

Group = tuple[str, ...]  # names of dimensions, "time" among them; () is all together
FAILURES = (Outcome.FAILED.value, Outcome.INTERRUPTED.value)
TIME = {"time": "starts_at", **COLUMNS}

_FAILED = " OR ".join(f"outcome = '{outcome}'" for outcome in FAILURES)
_FIGURES = [
    *(f"sum({name})::bigint" for name in SUMS[:-2]),
    *(f"sum({name})" for name in SUMS[-2:]),
    f"coalesce(sum(attempts) FILTER (WHERE {_FAILED}), 0)::bigint",
    "coalesce(sum(attempts) FILTER (WHERE is_cache_hit), 0)::bigint",
]


@dataclass(frozen=True, slots=True)
class Figures:
    """What some attempts add up to."""

    attempts: int = 0
    requests: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    errors: int = 0
    cache_hits: int = 0

    @property
    def tokens(self) -> int:
        return sum(getattr(self, name) for name in TOKENS)

    @property
    def error_rate(self) -> float | None:
        """Of the attempts at a model."""
        asked = self.attempts - self.cache_hits
        return self.errors / asked if asked else None

    @property
    def hit_rate(self) -> float | None:
        return self.cache_hits / self.attempts if self.attempts else None


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds that half, 95 and 99 of 100 answers did not exceed."""

    p50: int | None
    p95: int | None
    p99: int | None


@dataclass(frozen=True, slots=True)
class Latency:
    ttft: Times
    duration: Times


NOTHING = Latency(Times(None, None, None), Times(None, None, None))


def figures(
    rows: QuerySet[UsageRollup], groups: Sequence[Group]
) -> dict[Group, dict[tuple[Any, ...], Figures]]:
    """Return for each group what its members add up to, by their values."""
    found = _grouped(rows, groups, _FIGURES, [*SUMS, "outcome", "is_cache_hit"])
    return {
        group: {values: Figures(*sums) for values, sums in members.items()}
        for group, members in found.items()
    }


def latency(
    rows: QuerySet[UsageRollup], groups: Sequence[Group]
) -> dict[Group, dict[tuple[Any, ...], Latency]]:
    """Return how long models took to answer: without the cache, failures and broken calls."""
    answered = rows.filter(~Q(outcome__in=FAILURES), is_cache_hit=False)
    found = _grouped(answered, groups, [histogram_sum(name) for name in HISTOGRAMS], HISTOGRAMS)
    return {
        group: {values: Latency(*map(_times, sums)) for values, sums in members.items()}
        for group, members in found.items()
    }


def _times(counts: Sequence[int]) -> Times:
    return Times(*(quantile_ms(counts, share) for share in (0.50, 0.95, 0.99)))


def _grouped(
    rows: QuerySet[UsageRollup],
    groups: Sequence[Group],
    sums: Sequence[str],
    columns: Sequence[str],
) -> dict[Group, dict[tuple[Any, ...], Sequence[Any]]]:
    names = list(dict.fromkeys(name for group in groups for name in group))
    by = [TIME[name] for name in names]
    read = {*columns, *by} - {"tag"} | ({"tags"} if "tag" in names else set())
    sql, parameters = rows.order_by().values(*sorted(read)).query.sql_with_params()
    # With several tags an attempt counts for each.
    tags = "CROSS JOIN LATERAL unnest(r.tags) AS tag" if "tag" in names else ""
    sets = ", ".join(f"({', '.join(TIME[name] for name in group)})" for group in groups)
    mask = f"GROUPING({', '.join(by)})" if by else "0"
    statement = (
        f"SELECT {', '.join([mask, *by, *sums])} FROM ({sql}) AS r {tags} "  # noqa: S608
        f"GROUP BY GROUPING SETS ({sets}) HAVING count(*) > 0"  # all together: there may be none
    )
    result: dict[Group, dict[tuple[Any, ...], Sequence[Any]]] = {group: {} for group in groups}
    group_of = {_mask(group, names): group for group in groups}
    for found, *values in _fetch(statement, parameters):
        group = group_of[found]
        key = tuple(values[names.index(name)] for name in group)
        result[group][key] = values[len(names) :]
    return result


def _mask(group: Group, names: Sequence[str]) -> int:
    """Return what GROUPING says of a group: a bit for each column that is not in it."""
    return sum(1 << (len(names) - 1 - at) for at, name in enumerate(names) if name not in group)


def _fetch(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL jit = off")  # compiling takes longer than reading
        # Groups are counted in memory rather than sorted.
        cursor.execute("SET LOCAL work_mem = '64MB'")
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
