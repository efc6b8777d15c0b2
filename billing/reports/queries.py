"""Reading the sums: all groups of a page in one pass over the rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import add
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from billing.models import Outcome, UsageRollup
from billing.reports.dimensions import COLUMNS
from billing.reports.histograms import quantile_ms
from billing.reports.rollup_sql import HISTOGRAMS, SUMS, TOKENS, histogram_sum

Member = TypeVar("Member")
Group = tuple[str, ...]  # names of dimensions, "time" among them; () is all together
FAILURES = (Outcome.FAILED.value, Outcome.INTERRUPTED.value)
TIME = {"time": "starts_at", **COLUMNS}

# Compiling and starting helpers takes longer than reading; groups are counted in memory.
QUICKLY = """
SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL work_mem = '64MB'
"""

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
    cache_write_1h_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)
    errors: int = 0
    cache_hits: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

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


def costs(
    rows: QuerySet[UsageRollup], groups: Sequence[Group]
) -> dict[Group, dict[tuple[Any, ...], Decimal]]:
    """Return for each group what its members have cost, by their values."""
    found = _grouped(rows, groups, ["sum(cost_usd)"], ["cost_usd"])
    return {
        group: {values: cost for values, (cost,) in members.items()}
        for group, members in found.items()
    }


def values(
    rows: QuerySet[UsageRollup], groups: Sequence[Group]
) -> dict[Group, set[tuple[Any, ...]]]:
    """Return for each group which members there are."""
    found = _grouped(rows, groups, [], [])
    return {group: set(members) for group, members in found.items()}


def latency(
    rows: QuerySet[UsageRollup], groups: Sequence[Group]
) -> dict[Group, dict[tuple[Any, ...], Latency]]:
    """Return how long models took to answer: without the cache, failures and broken calls."""
    answered = rows.filter(~Q(outcome__in=FAILURES), is_cache_hit=False)
    # Read by all dimensions together, once, and added up from there: there are few.
    every = tuple(dict.fromkeys(name for group in groups for name in group))
    histograms = [histogram_sum(name) for name in HISTOGRAMS]
    found = _grouped(answered, [every], histograms, HISTOGRAMS)[every]
    result = {}
    for group in groups:
        members = merged(found, every, group, _both)
        result[group] = {key: Latency(*map(_times, sums)) for key, sums in members.items()}
    return result


def merged(
    members: Mapping[tuple[Any, ...], Member],
    group: Group,
    to: Group,
    plus: Callable[[Member, Member], Member],
) -> dict[tuple[Any, ...], Member]:
    """Return the members of a group added up to those of a part of it."""
    places = [group.index(name) for name in to]
    result: dict[tuple[Any, ...], Member] = {}
    for key, member in members.items():
        part = tuple(key[place] for place in places)
        result[part] = plus(result[part], member) if part in result else member
    return result


def _both(one: Sequence[Any], other: Sequence[Any]) -> Sequence[Any]:
    """Return histograms added up, bucket by bucket."""
    return [list(map(add, *pair)) for pair in zip(one, other, strict=True)]


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
        cursor.execute(QUICKLY)
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
