"""PostgreSQL is told to look at the usage records as a whole, which it does not by itself."""

import pytest
from django.db import connection

from billing.entries import Hold
from billing.retention import statistics
from tests.billing_support import attempt, book, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

KNOWN = "SELECT reltuples FROM pg_class WHERE oid = 'billing_usagerecord'::regclass"
# What is counted is told to others a moment later, unless it is asked for.
FORGET = "SELECT pg_stat_reset_single_table_counters('billing_usagerecord'::regclass)"
TELL = "SELECT pg_stat_force_next_flush()"


def ask(statement: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    return row and row[0]


def test_the_records_are_looked_over_once_a_day() -> None:
    ask(FORGET)
    tenant = make_tenant("1")
    for _ in range(3):
        book(Hold(attempt(tenant)))

    assert statistics.keep_up() == 1
    assert ask(KNOWN) == 3
    ask(TELL)
    assert statistics.keep_up() == 0
