"""Adding rows up by several groups at once: PostgreSQL reads each row once, however many groups."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection, models, transaction
from django.db.models import QuerySet

from billing.reports.dimensions import COLUMNS
from billing.reports.rates import Rates

Group = tuple[str, ...]  # names of dimensions, "time" among them; () is all together
Found = dict[Group, dict[tuple[Any, ...], Sequence[Any]]]
# "tags" are all of a row together; of "tag" a row has several, and counts for each.
COLUMN_OF = {"time": "starts_at", "tags": "tags", **COLUMNS}

# Compiling and starting helpers takes longer than reading; groups are counted in memory. A day's
# rows lie together, which PostgreSQL does not know: by the index it reads a tenth of the table.
QUICKLY = """
SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL work_mem = '64MB';
SET LOCAL enable_seqscan = off
"""
_EACH_TAG = """CROSS JOIN LATERAL (
    SELECT false AS is_tag, NULL::text AS tag UNION ALL SELECT true, unnest(tags)
) AS t"""


class Measure(NamedTuple):
    """A sum of something, in SQL; `rate` is what a US dollar was worth on the row's day."""

    sql: str
    is_count: bool = True


def grouped(
    rows: QuerySet[Any],
    groups: Iterable[Group],
    measures: Sequence[Measure],
    reads: Iterable[str] = (),
    rates: Rates | None = None,
) -> Found:
    """Return the sums of each group's members, by their values; `reads` are columns of measures.

    Members that are alike in all dimensions are added up first, over all time: they are few.
    Groups by time are added up beside them, in the same pass over the rows.
    """
    wanted = list(dict.fromkeys(groups))
    names = list(dict.fromkeys(name for group in wanted for name in group))
    statement = _statement(wanted, names, measures)
    source, parameters = _source(rows, names, reads, rates)
    result: Found = {group: {} for group in wanted}
    group_of = {(*_part(group), _mask(group, names)): group for group in wanted}
    for of_time, is_tag, mask, *values in _fetch(statement.replace("{source}", source), parameters):
        # A group by time is also met with the rows that have none, and the other way round.
        group = group_of.get((of_time, is_tag, mask))
        if group is not None:
            key = tuple(values[names.index(name)] for name in group)
            result[group][key] = values[len(names) :]
    return result


def _statement(groups: Sequence[Group], names: Sequence[str], measures: Sequence[Measure]) -> str:
    halves = [[group for group in groups if ("time" in group) is is_it] for is_it in (False, True)]
    sets = [
        _columns(dict.fromkeys(_whole(name) for group in half for name in group))
        for half in halves
        if half
    ]
    read = list(dict.fromkeys(_whole(name) for name in names))
    of_time = "GROUPING(starts_at) = 0" if "time" in names else "false"
    first = ", ".join(
        [
            f"{of_time} AS of_time",
            *(COLUMN_OF[name] for name in read),
            *(f"{measure.sql} AS sum_{at}" for at, measure in enumerate(measures)),
        ]
    )
    by = [COLUMN_OF[name] for name in names]
    second = ", ".join(
        [
            "of_time",
            "is_tag" if "tag" in names else "false AS is_tag",
            f"GROUPING({', '.join(by)})" if by else "0",
            *by,
            *(f"sum(sum_{at}){'::bigint' * one.is_count}" for at, one in enumerate(measures)),
        ]
    )
    each = ["of_time", "is_tag"] if "tag" in names else ["of_time"]
    return (
        f"WITH alike AS MATERIALIZED (SELECT {first} FROM {{source}} "  # noqa: S608 - of names
        f"GROUP BY GROUPING SETS ({', '.join(f'({one})' for one in sets)}) HAVING count(*) > 0) "
        f"SELECT {second} FROM alike {_EACH_TAG if 'tag' in names else ''} GROUP BY GROUPING SETS "
        f"({', '.join(f'({_columns(group, each)})' for group in groups)})"
    )


def _source(
    rows: QuerySet[Any], names: Sequence[str], reads: Iterable[str], rates: Rates | None
) -> tuple[str, list[Any]]:
    """Return the rows to be read as SQL, with the columns that are looked at."""
    read = {*reads, *(COLUMN_OF[_whole(name)] for name in names)}
    if rates is not None:
        read.add("starts_at")
    sql, parameters = rows.order_by().values(*sorted(read)).query.sql_with_params()
    if rates is None:
        return f"({sql}) AS r", list(parameters)
    days = (
        "JOIN unnest(%s::timestamptz[], %s::numeric[]) AS rates (midnight, rate) "
        "ON midnight = date_trunc('day', starts_at, %s)"
    )
    return f"({sql}) AS r {days}", [*parameters, *rates.as_columns()]


def _whole(name: str) -> str:
    return "tags" if name == "tag" else name


def _columns(names: Iterable[str], first: Sequence[str] = ()) -> str:
    return ", ".join([*first, *(COLUMN_OF[name] for name in names)])


def _part(group: Group) -> tuple[bool, bool]:
    return "time" in group, "tag" in group


def _mask(group: Group, names: Sequence[str]) -> int:
    """Return what GROUPING says of a group: a bit for each column that is not in it."""
    return sum(1 << (len(names) - 1 - at) for at, name in enumerate(names) if name not in group)


def _fetch(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(QUICKLY)
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def once(
    rows: QuerySet[models.Model], group: Group, sums: Sequence[str], reads: Iterable[str]
) -> Mapping[tuple[Any, ...], Sequence[Any]]:
    """Return the sums of one group's members, by their values."""
    by = [COLUMN_OF[name] for name in group]
    source, parameters = _source(rows, group, reads, None)
    statement = (
        f"SELECT {', '.join([*by, *sums])} FROM {source} "  # noqa: S608 - of names in the code
        f"GROUP BY GROUPING SETS (({', '.join(by)})) HAVING count(*) > 0"
    )
    found = _fetch(statement, parameters)
    return {tuple(_hashable(one) for one in row[: len(by)]): row[len(by) :] for row in found}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
