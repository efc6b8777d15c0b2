"""What PostgreSQL knows of all usage records together, for its plans.

It keeps that up by itself for each partition, but not for the table that they are the parts of.
"""

from django.db import connection, transaction

# For the rest of the transaction; no answer is waited for.
LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('billing.usage statistics', 0))"
# Once a day, and sooner where there are twice as many records as were known of.
IS_DUE = """
SELECT s.last_analyze IS NULL OR s.last_analyze < now() - interval '1 day'
    OR (
        SELECT sum(part.n_live_tup) FROM pg_inherits AS i
        JOIN pg_stat_user_tables AS part ON part.relid = i.inhrelid
        WHERE i.inhparent = c.oid
    ) > 2 * greatest(c.reltuples, 10000)
FROM pg_class AS c JOIN pg_stat_user_tables AS s ON s.relid = c.oid
WHERE c.oid = 'billing_usagerecord'::regclass
"""


@transaction.atomic
def keep_up() -> int:
    """Have the usage records looked over if that is due, and return how often it was done.

    Of several workers one does it. Calls go on meanwhile.
    """
    with connection.cursor() as cursor:
        for question in (LOCK, IS_DUE):
            cursor.execute(question)
            row = cursor.fetchone()
            if not (row and row[0]):
                return 0
        cursor.execute("ANALYZE billing_usagerecord")
    return 1
