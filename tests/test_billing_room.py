"""What a hold says is left on hard budgets, and that processes of the version before go on."""

import asyncio
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from billing import books, ledger, ledger_sql, ledger_writer
from billing.batch import Batch
from billing.entries import Entry, Hit, Hold, Settle
from billing.errors import BudgetExceeded
from billing.models import Budget, UsageRecord
from billing.retention import partitions
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = ledger_sql.BOOK.replace("billing_book_entries", "billing_book_batch")
ARM = {"experiment": "greeting", "arm": "friendly", "unit": "user-7"}

NewBudget = tuple[str, dict[str, Any]]
HARD: NewBudget = ("1.00", {})
SOFT: NewBudget = ("0.01", {"is_hard": False})
SMALL: NewBudget = ("0.40", {"model": "default"})
OFF: NewBudget = ("0.20", {"is_active": False})
OF_OTHERS: NewBudget = ("0.15", {"model": "another"})


def tenant_with(*budgets: NewBudget) -> Tenant:
    tenant = make_tenant("9")
    Budget.objects.all().delete()
    for limit_usd, more in budgets:
        Budget.objects.create(
            organization=tenant.organization,
            name=f"{limit_usd} {more}",
            limit_usd=Decimal(limit_usd),
            **more,
        )
    return tenant


def book_as_before(*entries: Entry) -> list[Any]:
    """Book as a process of the version before does, and return what it hears."""
    with connection.cursor() as cursor:
        cursor.execute(BEFORE, Batch.of(entries).parameters)
        return list(cursor.fetchall())


@pytest.mark.parametrize(
    ("budgets", "left"),
    [
        ([], None),
        ([SOFT], None),
        ([OFF, OF_OTHERS], None),
        ([HARD], "0.90"),
        ([HARD, SOFT, OFF, OF_OTHERS], "0.90"),
        ([HARD, SMALL], "0.30"),
        ([SMALL, HARD, SOFT], "0.30"),
    ],
)
def test_a_hold_leaves_the_least_of_the_hard_budgets_that_apply(
    budgets: list[NewBudget], left: str | None
) -> None:
    tenant = tenant_with(*budgets)

    results = ledger_writer.write([Hold(attempt(tenant, "0.10"))])

    assert results == [None if left is None else Decimal(left)]


def test_each_hold_of_a_batch_hears_its_own() -> None:
    tenant, free = tenant_with(HARD), tenant_with()
    Budget.objects.create(organization=tenant.organization, name="All", limit_usd=Decimal("1.00"))
    ended, refused = attempt(tenant, "0.50"), attempt(tenant, "0.80")
    book(Hold(ended))

    batch: list[Entry] = [
        Hold(attempt(free, "0.30")),
        Settle(settlement(ended, "0.25")),
        Hold(attempt(tenant, "0.05")),
        Hold(refused),
        Hold(attempt(tenant, "0.70")),
    ]
    results = ledger_writer.write(batch)

    assert results[:3] == [None, None, Decimal("0.70")]
    assert isinstance(results[3], BudgetExceeded)
    assert results[4] == 0


def test_what_has_no_price_leaves_nothing_on_a_budget_whose_limit_was_lowered() -> None:
    tenant = tenant_with(HARD)
    book(Hold(attempt(tenant, "0.60")))
    Budget.objects.update(limit_usd=Decimal("0.50"))

    assert ledger_writer.write([Hold(attempt(tenant, "0", price=None))]) == [0]


async def test_of_calls_at_the_same_time_each_hears_what_the_ones_before_left() -> None:
    tenant = await sync_to_async(make_tenant)("1.00")

    results = await asyncio.gather(
        *(ledger.hold(attempt(tenant, "0.03")) for _ in range(100)), return_exceptions=True
    )

    rooms = sorted(result for result in results if isinstance(result, Decimal))
    assert rooms == [Decimal("0.01") + number * Decimal("0.03") for number in range(33)]
    period = await sync_to_async(lambda: tenant.period)()
    assert rooms[0] == Decimal("1.00") - period.spent_usd - period.held_usd
    assert await sync_to_async(books.differences)() == []


def test_the_arm_of_an_experiment_is_on_the_records_of_calls_and_of_cached_answers() -> None:
    tenant = tenant_with(HARD)
    made, answered = attempt(tenant, **ARM), attempt(tenant, "0", **ARM)

    book(Hold(made), Hit(answered, settlement(answered, "0")))
    book(Settle(settlement(made)))

    rows = UsageRecord.objects.values(*ARM)
    assert list(rows) == [ARM, ARM]


def test_a_process_of_the_version_before_goes_on_with_its_function() -> None:
    tenant = tenant_with(HARD)
    old, newer = attempt(tenant, "0.40"), attempt(tenant, "0.20")
    hit = Hit(answered := attempt(tenant, "0"), settlement(answered, "0"))

    book(Hold(newer))
    assert book_as_before(Hold(old), hit) == []
    assert ledger_writer.write([Settle(settlement(old, "0.10"))]) == [None]
    assert book_as_before(Settle(settlement(newer, "0.20"))) == []

    assert set(UsageRecord.objects.values_list("experiment", "arm", "unit")) == {("", "", "")}
    assert Budget.objects.get().periods.get().spent_usd == Decimal("0.30")
    assert books.differences() == []


def test_every_partition_has_the_index_of_experiments_also_after_a_broken_migration() -> None:
    migration = import_module("billing.migrations.0019_usage_by_experiment")
    editor = connection.schema_editor()
    migration.drop(None, editor)
    with connection.cursor() as cursor:
        cursor.execute(migration.OF_TABLE)  # and then it was ended

    for _ in range(2):
        migration.make(None, editor)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE x.indisvalid) FROM pg_index AS x"
            " JOIN pg_class AS c ON c.oid = x.indexrelid WHERE pg_get_indexdef(c.oid) LIKE"
            " '%(experiment, organization_id, started_at DESC) WHERE%<> ''''%'"
        )
        assert cursor.fetchone() == (1 + len(partitions.partitions()),)
