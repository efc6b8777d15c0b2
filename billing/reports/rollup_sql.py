"""The statements that make the sums."""

from billing.models import Outcome, UsageDay, UsageHour, UsageModelDay, UsageRecord
from billing.reports.histograms import BOUNDS_MS, SIZE

RECORDS = UsageRecord._meta.db_table
HOURS = UsageHour._meta.db_table
DAYS = UsageDay._meta.db_table
MODEL_DAYS = UsageModelDay._meta.db_table

DIMENSIONS = (
    *("user_id", "user_name", "api_key_id", "api_key_prefix", "surface", "prompt_name"),
    *("prompt_version", "tags", "provider", "model_served", "service_tier", "outcome"),
    *("error_class", "is_cache_hit"),
)
TOKENS = (
    *("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens"),
    *("reasoning_tokens", "audio_input_tokens", "audio_output_tokens"),
    *("cache_write_1h_tokens", "image_input_tokens", "image_output_tokens"),
)
SUMS = ("attempts", "requests", "unpriced", *TOKENS, "cost_usd", "saved_usd")
HISTOGRAMS = ("ttft_ms", "duration_ms")
COLUMNS = ("starts_at", "organization_id", *DIMENSIONS, *SUMS, *HISTOGRAMS)

# What is summed: a list of hours, each of an organization.
WANTED = "unnest(%(organizations)s::bigint[], %(hours)s::timestamptz[])"

# The same tags in another order are the same tags.
_TAGS = """CASE WHEN cardinality(u.tags) < 2 THEN u.tags
    ELSE ARRAY(SELECT DISTINCT tag FROM unnest(u.tags) AS tag ORDER BY tag) END AS tags"""
_RECORD_SUMS = [
    "count(*)",
    "count(*) FILTER (WHERE attempt = 1)",
    "count(*) FILTER (WHERE cost_usd IS NULL)",
    *(f"sum({name}::bigint)" for name in TOKENS),
    "coalesce(sum(cost_usd), 0)",
    "coalesce(sum(saved_usd), 0)",
]


def _bucket(column: str) -> str:
    return f"width_bucket(u.{column}::float8, ARRAY{list(BOUNDS_MS)}::float8[])"


def _counts(column: str) -> str:
    filters = (f"count(*) FILTER (WHERE {column} = {bucket})" for bucket in range(SIZE))
    return f"ARRAY[{', '.join(filters)}]::int[]"


def histogram_sum(column: str, where: str = "") -> str:
    """Return the expression that adds histograms up, bucket by bucket, of the rows that fit."""
    only = f" FILTER (WHERE {where})" if where else ""
    sums = (f"coalesce(sum({column}[{place}]){only}, 0)" for place in range(1, SIZE + 1))
    return f"ARRAY[{', '.join(sums)}]::int[]"


_PLAIN = [name for name in DIMENSIONS if name != "tags"]

DELETE_HOURS = f"""
DELETE FROM {HOURS} AS r USING {WANTED} AS w (organization_id, starts_at)
WHERE r.organization_id = w.organization_id AND r.starts_at = w.starts_at
"""  # noqa: S608
# LATERAL: each hour is read by the index of its organization's records.
INSERT_HOURS = f"""
INSERT INTO {HOURS} ({", ".join(COLUMNS)})
SELECT w.starts_at, w.organization_id, s.*
FROM {WANTED} AS w (organization_id, starts_at)
CROSS JOIN LATERAL (
    SELECT {", ".join([*DIMENSIONS, *_RECORD_SUMS, *map(_counts, HISTOGRAMS)])}
    FROM (
        SELECT {", ".join(f"u.{name}" for name in [*_PLAIN, "attempt", *SUMS[3:]])}, {_TAGS},
            {", ".join(f"{_bucket(name)} AS {name}" for name in HISTOGRAMS)}
        FROM {RECORDS} AS u
        WHERE u.organization_id = w.organization_id AND u.state = 'settled'
            AND u.started_at >= w.starts_at AND u.started_at < w.starts_at + interval '1 hour'
    ) AS u
    GROUP BY {", ".join(DIMENSIONS)}
) AS s
"""  # noqa: S608 - of names in this file

# The days that these hours begin in.
_TOUCHED_DAYS = f"""
SELECT DISTINCT organization_id, date_trunc('day', starts_at, %(time_zone)s) AS starts_at
FROM {WANTED} AS w (organization_id, starts_at)
"""  # noqa: S608
DELETE_DAYS = f"""
DELETE FROM {DAYS} AS r USING ({_TOUCHED_DAYS}) AS w
WHERE r.organization_id = w.organization_id AND r.starts_at = w.starts_at
"""  # noqa: S608
INSERT_DAYS = f"""
INSERT INTO {DAYS} ({", ".join(COLUMNS)})
SELECT w.starts_at, w.organization_id, s.*
FROM ({_TOUCHED_DAYS}) AS w
CROSS JOIN LATERAL (
    SELECT {", ".join([*DIMENSIONS, *(f"sum({n})" for n in SUMS), *map(histogram_sum, HISTOGRAMS)])}
    FROM {HOURS} AS h
    WHERE h.organization_id = w.organization_id AND h.starts_at >= w.starts_at
        AND h.starts_at < w.starts_at + interval '26 hours'
        AND date_trunc('day', h.starts_at, %(time_zone)s) = w.starts_at
    GROUP BY {", ".join(DIMENSIONS)}
) AS s
"""  # noqa: S608

# What the days' rows say of failures, of the cache, and of answers by a model.
FAILED = f"outcome IN ('{Outcome.FAILED.value}', '{Outcome.INTERRUPTED.value}')"
ERRORS = f"coalesce(sum(attempts) FILTER (WHERE {FAILED}), 0)"
CACHE_HITS = "coalesce(sum(attempts) FILTER (WHERE is_cache_hit), 0)"
ANSWERED = f"NOT ({FAILED}) AND NOT is_cache_hit"
DELETE_MODEL_DAYS = DELETE_DAYS.replace(DAYS, MODEL_DAYS)
INSERT_MODEL_DAYS = f"""
INSERT INTO {MODEL_DAYS} (starts_at, organization_id, provider, model_served, {", ".join(SUMS)},
    errors, cache_hits, {", ".join(HISTOGRAMS)})
SELECT w.starts_at, w.organization_id, s.*
FROM ({_TOUCHED_DAYS}) AS w
CROSS JOIN LATERAL (
    SELECT provider, model_served, {", ".join(f"sum({name})" for name in SUMS)}, {ERRORS},
        {CACHE_HITS}, {", ".join(histogram_sum(name, ANSWERED) for name in HISTOGRAMS)}
    FROM {DAYS} AS d
    WHERE d.organization_id = w.organization_id AND d.starts_at = w.starts_at
    GROUP BY provider, model_served
) AS s
"""  # noqa: S608

# Hours with records that began in the span, or with sums: those are checked for being still true.
HOURS_OF_SPAN = f"""
SELECT o.id, hour
FROM accounts_organization AS o
CROSS JOIN generate_series(
    date_trunc('hour', %(since)s::timestamptz, 'UTC'), %(until)s, interval '1 hour'
) AS hour
CROSS JOIN LATERAL ( -- ORDER BY and LIMIT: looked up in the index, and not read as a whole
    SELECT FROM {RECORDS} AS u
    WHERE u.organization_id = o.id AND u.started_at >= greatest(hour, %(since)s)
        AND u.started_at < hour + interval '1 hour'
    ORDER BY u.started_at DESC LIMIT 1
) AS found
UNION
SELECT organization_id, starts_at FROM {HOURS}
WHERE starts_at >= %(since)s AND starts_at <= %(until)s
"""  # noqa: S608
OPEN_HOURS = f"""
SELECT DISTINCT organization_id, date_trunc('hour', started_at, 'UTC')
FROM {RECORDS} WHERE state = 'started'
"""  # noqa: S608
# By the index of each organization; records that were archived are not missing.
OLDEST = f"""
SELECT min(oldest.started_at) FROM accounts_organization AS o
CROSS JOIN LATERAL (
    SELECT started_at FROM {RECORDS}
    WHERE organization_id = o.id ORDER BY started_at LIMIT 1
) AS oldest
"""  # noqa: S608
# Until when nothing that is not visible yet can have begun: calls are stamped just before they are
# written, by clocks that differ a little, and a transaction may take its time.
SETTLED_GROUND = """
SELECT now(), least(now() - interval '5 minutes', (
    SELECT min(xact_start) - interval '5 minutes' FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
))
"""
