"""Whether the books balance: every period against the usage records that count on it."""

from django.db import connection

# In one statement, so that all of it is of one moment, also while calls are running.
DIFFERENCES = """
SELECT p.id, b.name, p.spent_usd, p.opening_usd + COALESCE(u.spent, 0), p.held_usd,
       COALESCE(u.held, 0)
FROM billing_budgetperiod AS p
JOIN billing_budget AS b ON b.id = p.budget_id
LEFT JOIN (
    SELECT period_id,
           SUM(cost_usd) FILTER (WHERE state = 'settled') AS spent,
           SUM(hold_usd) FILTER (WHERE state = 'started') AS held
    FROM billing_usagerecord, unnest(budget_period_ids) AS period_id
    GROUP BY period_id
) AS u ON u.period_id = p.id
WHERE p.spent_usd <> p.opening_usd + COALESCE(u.spent, 0) OR p.held_usd <> COALESCE(u.held, 0)
ORDER BY p.id
"""


def differences() -> list[str]:
    """Return a line for each period whose amounts are not the sum of its usage records."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES)
        return [
            f"Period {period_id} of “{name}”: spent {spent} but records say {true_spent}; "
            f"held {held} but records say {true_held}."
            for period_id, name, spent, true_spent, held, true_held in cursor.fetchall()
        ]
