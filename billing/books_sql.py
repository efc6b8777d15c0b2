"""What PostgreSQL is asked to look the books over; each statement returns what is wrong."""

# Each period against the records that were taken on it (of months that were dropped: what was kept
# of them) and the adjustments that name it. An attempt counts once, in full.
SUMS = """
SELECT p.id, b.name,
       p.spent_usd,
       p.opening_usd + COALESCE(u.spent, 0) + COALESCE(d.spent, 0) + COALESCE(a.sum, 0),
       p.held_usd, COALESCE(u.held, 0),
       p.overrun_usd,
       COALESCE(u.overrun, 0) + COALESCE(d.overrun, 0) + COALESCE(o.of_corrections, 0),
       COALESCE(o.over, 0)
FROM billing_budgetperiod AS p
JOIN billing_budget AS b ON b.id = p.budget_id
LEFT JOIN (
    SELECT period_id,
           SUM(cost_usd) FILTER (WHERE state = 'settled') AS spent,
           SUM(hold_usd) FILTER (WHERE state = 'started') AS held,
           SUM(GREATEST(cost_usd - hold_usd, 0)) FILTER (WHERE cost_usd IS NOT NULL) AS overrun
    FROM billing_usagerecord, unnest(budget_period_ids) AS period_id
    GROUP BY period_id
) AS u ON u.period_id = p.id
LEFT JOIN (
    SELECT period_id, SUM(over_usd) AS over,
           SUM(over_usd) FILTER (WHERE correction_id IS NOT NULL) AS of_corrections
    FROM billing_overrun GROUP BY period_id
) AS o ON o.period_id = p.id
LEFT JOIN (
    SELECT period_id, SUM(spent_usd) AS spent, SUM(overrun_usd) AS overrun
    FROM billing_droppedspending GROUP BY period_id
) AS d ON d.period_id = p.id
LEFT JOIN (
    SELECT period_id, SUM(amount_usd)
    FROM billing_adjustment, unnest(budget_period_ids) AS period_id
    GROUP BY period_id
) AS a ON a.period_id = p.id
WHERE p.spent_usd
        <> p.opening_usd + COALESCE(u.spent, 0) + COALESCE(d.spent, 0) + COALESCE(a.sum, 0)
    OR p.held_usd <> COALESCE(u.held, 0)
    OR p.overrun_usd
        <> COALESCE(u.overrun, 0) + COALESCE(d.overrun, 0) + COALESCE(o.of_corrections, 0)
    OR p.overrun_usd <> COALESCE(o.over, 0)
ORDER BY p.id
"""

# A limit that was lowered later, and a budget that is or was soft, leave the peak above the limit.
OVERSPENT = """
SELECT p.id, b.name, GREATEST(b.limit_usd, p.peak_usd), p.spent_usd, p.held_usd, p.overrun_usd
FROM billing_budgetperiod AS p
JOIN billing_budget AS b ON b.id = p.budget_id
WHERE p.spent_usd + p.held_usd > GREATEST(b.limit_usd, p.peak_usd) + p.overrun_usd
ORDER BY p.id
"""

# Every call that a budget is about is either in its opening amount or names its period.
UNCOUNTED = """
SELECT p.id, b.name, p.opening_usd, COALESCE(SUM(u.cost_usd), 0) + MIN(d.opening),
       COUNT(*) FILTER (WHERE u.state = 'started')
FROM billing_budgetperiod AS p
JOIN billing_budget AS b ON b.id = p.budget_id
CROSS JOIN LATERAL (
    SELECT COALESCE(SUM(opening_usd), 0) AS opening
    FROM billing_droppedspending WHERE period_id = p.id
) AS d
LEFT JOIN billing_usagerecord AS u ON u.organization_id = b.organization_id
    AND u.started_at >= p.starts_at AND (p.ends_at IS NULL OR u.started_at < p.ends_at)
    AND (b.user_id IS NULL OR u.user_id = b.user_id)
    AND (b.api_key_id IS NULL OR u.api_key_id = b.api_key_id)
    AND (b.prompt_name = '' OR u.prompt_name = b.prompt_name)
    AND (b.model = '' OR u.model_asked = b.model)
    AND (b.tag = '' OR b.tag = ANY (u.tags))
    AND NOT p.id = ANY (u.budget_period_ids)
GROUP BY p.id, b.id
HAVING p.opening_usd <> COALESCE(SUM(u.cost_usd), 0) + MIN(d.opening)
    OR bool_or(u.state = 'started')
ORDER BY p.id
"""

# An overrun of a correction is about what its adjustments have added to the period.
CORRECTED = """
SELECT o.correction_id, o.period_id, b.name, o.cost_usd, COALESCE(SUM(a.amount_usd), 0)
FROM billing_overrun AS o
JOIN billing_budgetperiod AS p ON p.id = o.period_id
JOIN billing_budget AS b ON b.id = p.budget_id
LEFT JOIN billing_adjustment AS a
    ON a.correction_id = o.correction_id AND p.id = ANY (a.budget_period_ids)
WHERE o.correction_id IS NOT NULL
GROUP BY o.id, b.id
HAVING o.cost_usd <> COALESCE(SUM(a.amount_usd), 0)
ORDER BY o.id
"""

TWICE = """
SELECT id, COUNT(*) FROM billing_usagerecord GROUP BY id HAVING COUNT(*) > 1 ORDER BY id
"""

OVERDUE = """
SELECT id, lease_expires_at AT TIME ZONE 'UTC'
FROM billing_usagerecord
WHERE state = 'started' AND lease_expires_at < %s
ORDER BY lease_expires_at
"""

# For the rest of the transaction; no answer is waited for.
LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('billing.books', 0))"
