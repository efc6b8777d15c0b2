"""The figures of an experiment's arms, summed up by unit in PostgreSQL.

An attempt is a row; a request may have several of them, and a unit many requests. What an answer
from the cache costs or takes says nothing about an arm: such requests are counted apart.
"""

from prompts.models import Metric

# Of one unit, what is summed up and over what: a figure is their ratio over all units.
RATIOS: dict[Metric, tuple[str, str]] = {
    Metric.COST: ("cost", "priced"),
    Metric.TTFT: ("ttft", "timed"),
    Metric.DURATION: ("duration", "finished"),
    Metric.INPUT_TOKENS: ("input_tokens", "answered"),
    Metric.OUTPUT_TOKENS: ("output_tokens", "answered"),
    Metric.ERRORS: ("errors", "requests"),
    Metric.STOPS: ("stops", "requests"),
    Metric.REGENERATIONS: ("regenerated", "requests"),
    Metric.THUMBS: ("ups", "thumbs"),
    Metric.CHECKS: ("passed", "checks"),
}


def _sums(numerator: str, denominator: str) -> str:
    y, x = f"{numerator}::float8", f"{denominator}::float8"
    return (
        "count(*), "
        f"coalesce(sum({y}), 0), coalesce(sum({y} * {y}), 0), "
        f"coalesce(sum({x}), 0), coalesce(sum({x} * {x}), 0), coalesce(sum({x} * {y}), 0)"
    )


# An answer costs what all attempts at it cost. Its tokens and times are those of the attempt that
# answered: how often a vendor failed before says nothing about the words. An answer that somebody
# stopped has no duration.
_STATEMENT = """
WITH request AS (
    SELECT {arm} AS arm, {unit} AS unit, request_id,
        min(started_at) AS started_at,
        bool_or(is_cache_hit) AS is_hit,
        sum(cost_usd) AS cost,
        bool_and(cost_usd IS NOT NULL) AS is_priced,
        bool_or(outcome IN ('success', 'partial', 'filtered', 'stopped')) AS is_answered,
        bool_or(outcome = 'stopped') AS is_stopped,
        max(input_tokens) FILTER (WHERE outcome NOT IN ('failed', 'interrupted')) AS input_tokens,
        max(output_tokens) FILTER (WHERE outcome NOT IN ('failed', 'interrupted')) AS output_tokens,
        max(ttft_ms) FILTER (WHERE outcome NOT IN ('failed', 'interrupted')) AS ttft,
        max(duration_ms) FILTER (WHERE outcome IN ('success', 'partial', 'filtered')) AS duration
    FROM ({attempts}) AS attempt
    GROUP BY 1, 2, 3
), judgement AS (
    SELECT request_id,
        count(*) FILTER (WHERE kind = 'thumb' AND value = 1) AS ups,
        count(*) FILTER (WHERE kind = 'thumb') AS thumbs,
        count(*) FILTER (WHERE kind = 'check' AND value = 1) AS passed,
        count(*) FILTER (WHERE kind = 'check') AS checks,
        bool_or(kind = 'regenerated') AS is_regenerated
    FROM prompts_feedback
    WHERE {judged}
    GROUP BY request_id
), unit AS (
    SELECT arm, unit,
        min(started_at) AS started_at,
        count(*) FILTER (WHERE NOT is_hit) AS requests,
        count(*) FILTER (WHERE is_hit) AS hits,
        sum(cost) FILTER (WHERE NOT is_hit AND is_answered AND is_priced) AS cost,
        count(*) FILTER (WHERE NOT is_hit AND is_answered AND is_priced) AS priced,
        count(*) FILTER (WHERE NOT is_hit AND is_answered) AS answered,
        sum(input_tokens) FILTER (WHERE NOT is_hit AND is_answered) AS input_tokens,
        sum(output_tokens) FILTER (WHERE NOT is_hit AND is_answered) AS output_tokens,
        sum(ttft) FILTER (WHERE NOT is_hit) / 1000.0 AS ttft,
        count(ttft) FILTER (WHERE NOT is_hit) AS timed,
        sum(duration) FILTER (WHERE NOT is_hit AND NOT is_stopped) / 1000.0 AS duration,
        count(duration) FILTER (WHERE NOT is_hit AND NOT is_stopped) AS finished,
        count(*) FILTER (WHERE NOT is_hit AND NOT is_answered) AS errors,
        count(*) FILTER (WHERE NOT is_hit AND is_stopped) AS stops,
        count(*) FILTER (WHERE NOT is_hit AND is_regenerated) AS regenerated,
        sum(ups) FILTER (WHERE NOT is_hit) AS ups,
        sum(thumbs) FILTER (WHERE NOT is_hit) AS thumbs,
        sum(passed) FILTER (WHERE NOT is_hit) AS passed,
        sum(checks) FILTER (WHERE NOT is_hit) AS checks
    FROM request LEFT JOIN judgement USING (request_id)
    GROUP BY arm, unit
)
SELECT arm, count(*), sum(requests), sum(hits), sum(answered) - sum(priced), min(started_at), {sums}
FROM unit GROUP BY arm
"""
_OF_PROMPT = "organization_id = %(organization)s AND prompt_name = %(prompt)s"
_SUMS = ", ".join(_sums(*ratio) for ratio in RATIOS.values())

ARMS = _STATEMENT.format(
    arm="arm",
    unit="unit",
    attempts="SELECT * FROM billing_usagerecord "
    "WHERE experiment = %(experiment)s AND organization_id = %(organization)s "
    "AND prompt_name = %(prompt)s AND started_at >= %(since)s AND state = 'settled'",
    judged="experiment = %(experiment)s AND " + _OF_PROMPT,
    sums=_SUMS,
)


def traffic(unit: str) -> str:
    """Return the statement for all calls of a prompt as one arm, the newest so many attempts.

    What staff try and test is asked by nobody, so it tells nothing of those who will.
    """
    return _STATEMENT.format(
        arm="''",
        unit=unit,
        attempts="SELECT * FROM billing_usagerecord "
        "WHERE organization_id = %(organization)s AND prompt_name = %(prompt)s "
        "AND started_at >= %(since)s AND state = 'settled' "
        "AND surface NOT IN ('playground', 'tests') "
        "ORDER BY started_at DESC LIMIT %(most)s",
        judged=_OF_PROMPT,
        sums=_SUMS,
    )
