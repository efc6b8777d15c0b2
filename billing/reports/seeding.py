"""Made-up usage of several months, to see how reports do with much of it."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from accounts.models import Organization
from billing.models import UsageRecord
from billing.retention.partitions import first_day, months, months_after

CHUNK = 250_000  # records in one statement
DAY = timedelta(days=1)

# Keys do the bulk, each with a prompt and a model of its own; 180 people chat with whatever model.
# Around noon there is most to do (the cube); one of 25 fails, one of eight comes from the cache.
INSERT = f"""
INSERT INTO {UsageRecord._meta.db_table} (
    id, request_id, attempt, surface, organization_id, user_id, user_name, api_key_id,
    api_key_prefix, prompt_name, prompt_version, tags, provider, model_asked, model_served, state,
    outcome, finish_reason, error_class, service_tier, is_cache_hit, input_tokens,
    cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, audio_input_tokens,
    audio_output_tokens, is_estimated, price, hold_usd, cost_usd, saved_usd, budget_period_ids,
    started_at, settled_at, lease_expires_at, ttft_ms, duration_ms
)
SELECT (
        lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7'
        || substr(hash, 1, 3)
        || '8' || substr(hash, 4, 15)
    )::uuid, 'seeded', CASE WHEN odds < 0.02 THEN 2 ELSE 1 END,
    CASE WHEN is_api THEN 'api' ELSE 'chat' END, %(organization)s,
    CASE WHEN NOT is_api THEN 1000000 + person END,
    CASE WHEN is_api THEN '' ELSE 'person-' || lpad(person::text, 3, '0') END,
    CASE WHEN is_api THEN 1000000 + key END,
    CASE WHEN is_api THEN 'pk-seed-' || key ELSE '' END,
    CASE WHEN is_api THEN (ARRAY['triage', 'summary', 'translate', 'extract'])[1 + key %% 4]
        ELSE '' END,
    CASE WHEN is_api THEN 1 + floor(4 * part)::int END,
    CASE WHEN is_api THEN ARRAY['team-' || key %% 5] ELSE ARRAY[]::text[] END,
    (ARRAY['openai', 'openai', 'anthropic', 'anthropic', 'azure'])[model],
    'default',
    (ARRAY['gpt-large', 'gpt-small', 'claude-large', 'claude-small', 'gpt-azure'])[model],
    'settled', CASE WHEN is_failed THEN 'failed' ELSE 'success' END,
    CASE WHEN is_failed THEN '' ELSE 'stop' END,
    CASE WHEN NOT is_failed THEN '' WHEN odds < 0.03 THEN 'RateLimited' ELSE 'Timeout' END, '',
    is_hit, size, CASE WHEN odds > 0.7 THEN size ELSE 0 END, 0,
    CASE WHEN is_failed THEN 0 ELSE size / 3 END, CASE WHEN model = 1 THEN size / 4 ELSE 0 END,
    0, 0, false, NULL, 0,
    CASE WHEN is_failed OR is_hit THEN 0 ELSE size * model * 0.000001 END,
    CASE WHEN is_hit THEN size * model * 0.000001 END, '{{}}',
    moment, moment + interval '2 seconds', moment + interval '1 minute',
    CASE WHEN is_failed THEN NULL WHEN is_hit THEN 3 ELSE (200 * model * exp(odds))::int END,
    CASE WHEN is_hit THEN 5 ELSE (1500 * model * exp(1.5 * odds))::int END
FROM (
    SELECT *, %(since)s + make_interval(
            secs => 86400 * (floor(day) + 0.5 + 4 * power(day - floor(day) - 0.5, 3))
        ) AS moment,
        CASE WHEN is_api AND odds < 0.9 THEN 1 + key %% 5 ELSE 1 + person %% 5 END AS model,
        odds < 0.04 AS is_failed, odds BETWEEN 0.4 AND 0.52 AS is_hit
    FROM (
        SELECT n * %(days)s::float8 / %(rows)s AS day, n / %(rows)s::float8 AS part,
            random() AS odds, random() < 0.65 AS is_api, floor(random() * 24)::int AS key,
            floor(power(random(), 2) * 180)::int AS person, md5(random()::text) AS hash,
            100 + floor(random() * 3000)::int AS size
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
        OFFSET 0
    ) AS drawn
) AS made
"""  # noqa: S608 - of a name in the code


def seed(*, rows: int, days: int) -> Organization:
    """Make `rows` records of the last `days` days, of an organization of their own."""
    organization, _ = Organization.objects.get_or_create(
        slug="seeded", defaults={"name": "Seeded usage"}
    )
    since = _midnight() - days * DAY
    _make_partitions(since)
    for first in range(0, rows, CHUNK):
        parameters: dict[str, Any] = {
            "organization": organization.pk,
            "since": since,
            "days": days,
            "rows": rows,
            "first": first,
            "last": min(first + CHUNK, rows) - 1,
        }
        with connection.cursor() as cursor:
            cursor.execute(INSERT, parameters)
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {UsageRecord._meta.db_table}")
    return organization


def _make_partitions(since: datetime) -> None:
    month = first_day(since)
    there = set(months())
    with connection.cursor() as cursor:
        while month <= first_day(timezone.now()):
            if month not in there:
                cursor.execute("SELECT billing_make_usage_partition(%s)", [month])
            month = months_after(month, 1)


def _midnight() -> datetime:
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
