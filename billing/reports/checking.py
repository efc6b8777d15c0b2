"""Whether the sums are those of the records."""

from typing import Any

from django.conf import settings
from django.db import connection

from billing.models import RollupProgress
from billing.reports import rollups
from billing.reports.rollup_sql import (
    ANSWERED,
    CACHE_HITS,
    DAYS,
    ERRORS,
    HOURS,
    MODEL_DAYS,
    RECORDS,
    SUMS,
    TOKENS,
)

# Hours in which a record may still change are made anew in any case, and so not looked at.
HOUR_DIFFERENCES = f"""
WITH true_hours AS (
    SELECT organization_id, date_trunc('hour', started_at, 'UTC') AS starts_at,
        count(*) AS attempts, coalesce(sum(cost_usd), 0) AS cost_usd,
        coalesce(sum(saved_usd), 0) AS saved_usd,
        sum({" + ".join(f"{name}::bigint" for name in TOKENS)}) AS tokens
    FROM {RECORDS} WHERE state = 'settled' AND started_at >= %(since)s
    GROUP BY 1, 2
), hours AS (
    SELECT organization_id, starts_at, sum(attempts) AS attempts, sum(cost_usd) AS cost_usd,
        sum(saved_usd) AS saved_usd, sum({" + ".join(TOKENS)}) AS tokens
    FROM {HOURS} WHERE starts_at >= %(since)s
    GROUP BY 1, 2
)
SELECT organization_id, starts_at, h.attempts, t.attempts, h.cost_usd, t.cost_usd
FROM true_hours AS t FULL JOIN hours AS h USING (organization_id, starts_at)
WHERE (t.attempts, t.cost_usd, t.saved_usd, t.tokens)
        IS DISTINCT FROM (h.attempts, h.cost_usd, h.saved_usd, h.tokens)
    AND starts_at + interval '1 hour' <= %(at_rest)s
    AND NOT EXISTS (
        SELECT FROM unnest(%(organizations)s::bigint[], %(hours)s::timestamptz[]) AS o (id, hour)
        WHERE o.id = organization_id AND o.hour = starts_at
    )
ORDER BY starts_at, organization_id
"""  # noqa: S608 - of names in the code
DAY_DIFFERENCES = f"""
WITH of_hours AS (
    SELECT organization_id, date_trunc('day', starts_at, %(time_zone)s) AS starts_at,
        {", ".join(f"sum({name}) AS {name}" for name in SUMS)}
    FROM {HOURS} GROUP BY 1, 2
), days AS (
    SELECT organization_id, starts_at, {", ".join(f"sum({name}) AS {name}" for name in SUMS)}
    FROM {DAYS} GROUP BY 1, 2
)
SELECT organization_id, starts_at, d.attempts, h.attempts, d.cost_usd, h.cost_usd
FROM of_hours AS h FULL JOIN days AS d USING (organization_id, starts_at)
WHERE ({", ".join(f"h.{name}" for name in SUMS)})
    IS DISTINCT FROM ({", ".join(f"d.{name}" for name in SUMS)})
ORDER BY starts_at, organization_id
"""  # noqa: S608


_OF_MODEL_DAYS = (*SUMS, "errors", "cache_hits", "timed")
MODEL_DAY_DIFFERENCES = f"""
WITH of_days AS (
    SELECT organization_id, starts_at, {", ".join(f"sum({name}) AS {name}" for name in SUMS)},
        {ERRORS} AS errors, {CACHE_HITS} AS cache_hits,
        coalesce(sum((SELECT sum(n) FROM unnest(duration_ms) AS n)) FILTER (WHERE {ANSWERED}), 0)
            AS timed
    FROM {DAYS} GROUP BY 1, 2
), days AS (
    SELECT organization_id, starts_at, {", ".join(f"sum({name}) AS {name}" for name in SUMS)},
        sum(errors) AS errors, sum(cache_hits) AS cache_hits,
        coalesce(sum((SELECT sum(n) FROM unnest(duration_ms) AS n)), 0) AS timed
    FROM {MODEL_DAYS} GROUP BY 1, 2
)
SELECT organization_id, starts_at, d.attempts, o.attempts, d.cost_usd, o.cost_usd
FROM of_days AS o FULL JOIN days AS d USING (organization_id, starts_at)
WHERE ({", ".join(f"o.{name}" for name in _OF_MODEL_DAYS)})
    IS DISTINCT FROM ({", ".join(f"d.{name}" for name in _OF_MODEL_DAYS)})
ORDER BY starts_at, organization_id
"""  # noqa: S608


def differences() -> list[str]:
    """Return a line for each hour and day whose sums are not those of what they are made of.

    The sums are brought up to date first. Hours whose records were archived are not looked at.
    """
    rollups.catch_up()
    progress = RollupProgress.objects.get(pk=1)
    parameters = {
        "since": rollups.oldest_hour(),
        "at_rest": progress.covered_until,
        "organizations": [number for number, _ in progress.open_hours],
        "hours": [hour for _, hour in progress.open_hours],
    }
    wrong_hours = _lines("Hour", HOUR_DIFFERENCES, parameters)
    wrong_days = _lines("Day", DAY_DIFFERENCES, {"time_zone": settings.TIME_ZONE})
    return wrong_hours + wrong_days + _lines("Models of the day", MODEL_DAY_DIFFERENCES, {})


def _lines(what: str, statement: str, parameters: dict[str, Any]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [
            f"{what} {starts_at:%Y-%m-%d %H:%M} of organization {organization_id}: sums say "
            f"{attempts} attempts for ${cost}, but there were {true_attempts} for ${true_cost}."
            for organization_id, starts_at, attempts, true_attempts, cost, true_cost in (
                (*row[:2], *(value or 0 for value in row[2:])) for row in cursor.fetchall()
            )
        ]
