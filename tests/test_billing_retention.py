"""Usage records lie in months: each is written, exported, and dropped without a loss."""

import csv
import gzip
import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from billing import books, migrations
from billing.entries import Entry, Hold, Settle
from billing.models import (
    BudgetPeriod,
    DroppedMonth,
    DroppedUsage,
    RollupProgress,
    UsageRecord,
    UsageState,
)
from billing.retention import partitions
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)

THIS_MONTH = partitions.first_day(timezone.now())
LONG_AGO = partitions.months_after(THIS_MONTH, -5)


def id_in(month: date, number: int = 0) -> uuid.UUID:
    """Return an id that was made on the second day of a month."""
    moment = datetime(month.year, month.month, 2, tzinfo=UTC)
    return uuid.UUID(int=(int(moment.timestamp() * 1000) << 80) | 0x7 << 76 | 0x2 << 62 | number)


def partition_of(record_id: uuid.UUID) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM billing_usagerecord WHERE id = %s", [record_id]
        )
        return str(cursor.fetchone()[0])


def call(tenant: Tenant, month: date, cost_usd: str | None = "0.03", number: int = 0) -> uuid.UUID:
    """Make a call of a month through the ledger, as it would have been made then."""
    made = attempt(tenant, id=id_in(month, number))
    entries: list[Entry] = [Hold(made)]
    if cost_usd is not None:
        entries.append(Settle(settlement(made, cost_usd)))
    for entry in entries:
        book(entry)
    started_at = datetime(month.year, month.month, 2, tzinfo=UTC)
    UsageRecord.objects.filter(pk=made.id).update(started_at=started_at)
    return made.id


@pytest.fixture(autouse=True)
def old_months() -> Iterator[None]:
    """Have a partition of a month that is long over, and the reports' sums of it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_make_usage_partition(%s)", [LONG_AGO])
    RollupProgress.objects.update_or_create(pk=1, defaults={"covered_until": timezone.now()})
    yield
    UsageRecord.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {partitions.table_of(LONG_AGO)}")


def test_there_are_partitions_of_this_month_and_two_ahead_and_a_default() -> None:
    with connection.cursor() as cursor:
        later = partitions.table_of(partitions.months_after(THIS_MONTH, 2))
        cursor.execute(f"DROP TABLE {later}")

    assert partitions.make_ahead() == 1
    assert partitions.make_ahead() == 0
    assert [one.month for one in partitions.partitions()] == [
        LONG_AGO,
        *(partitions.months_after(THIS_MONTH, ahead) for ahead in range(3)),
        None,
    ]


@pytest.mark.parametrize("month", [LONG_AGO, THIS_MONTH])
def test_the_ledger_writes_and_settles_in_the_partition_of_the_id(month: date) -> None:
    tenant = make_tenant()

    record_id = call(tenant, month)

    assert partition_of(record_id) == partitions.table_of(month)
    assert UsageRecord.objects.get(pk=record_id).state == UsageState.SETTLED
    assert tenant.period.spent_usd == Decimal("0.03")


def test_a_call_is_never_refused_for_want_of_a_partition_and_moves_to_it_later() -> None:
    far = partitions.months_after(THIS_MONTH, 40)
    record_id = call(make_tenant(), far)
    before = partition_of(record_id)

    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_make_usage_partition(%s)", [far])
    after = partition_of(record_id)

    assert (before, after) == ("billing_usagerecord_default", partitions.table_of(far))
    UsageRecord.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {partitions.table_of(far)}")


def test_a_repeated_hold_is_written_once() -> None:
    made = attempt(make_tenant(), id=id_in(LONG_AGO))

    book(Hold(made))
    book(Hold(made))

    assert UsageRecord.objects.filter(pk=made.id).count() == 1
    assert books.differences() == []


def test_bounds_are_those_of_the_month_in_utc() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_usage_bound('2026-11-01')")
        (bound,) = cursor.fetchone()
        milliseconds = bound.int >> 80
        last = uuid.UUID(int=bound.int - 1)
        cursor.execute("SELECT billing_usage_month(%s), billing_usage_month(%s)", [bound, last])
        found = cursor.fetchone()

    assert datetime.fromtimestamp(milliseconds / 1000, UTC) == datetime(2026, 11, 1, tzinfo=UTC)
    assert found == (date(2026, 11, 1), date(2026, 10, 1))


def export(folder: Path, month: date = LONG_AGO, *, drop: bool = False) -> str:
    said = StringIO()
    wanted = [f"--month={month:%Y-%m}", f"--to={folder}", *(["--drop"] if drop else [])]
    call_command("export_usage", *wanted, stdout=said)
    return said.getvalue()


def test_an_exported_month_is_a_file_with_every_record_and_a_checksum(tmp_path: Path) -> None:
    tenant = make_tenant()
    ids = [call(tenant, LONG_AGO, number=number) for number in range(3)]

    export(tmp_path)

    path = tmp_path / f"usage-{LONG_AGO:%Y-%m}.csv.gz"
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(one) for one in ids]
    assert Decimal(rows[0]["cost_usd"]) == Decimal("0.03")
    said = path.with_name(f"{path.name}.sha256").read_text()
    assert said == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
    assert UsageRecord.objects.count() == 3


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    call(make_tenant(), LONG_AGO)
    export(tmp_path)

    with pytest.raises(CommandError, match="is there already"):
        export(tmp_path)


def test_a_dropped_month_is_gone_and_what_it_cost_stays_in_the_books(tmp_path: Path) -> None:
    tenant = make_tenant("5", period="total")
    call(tenant, LONG_AGO, "0.03")
    call(tenant, LONG_AGO, "0.15", number=1)  # more than was held for it
    younger = tenant.organization.budgets.create(name="All", limit_usd=1, period="total")
    kept = call(tenant, THIS_MONTH, "0.10")
    assert books.differences() == []

    export(tmp_path, drop=True)

    assert list(UsageRecord.objects.values_list("pk", flat=True)) == [kept]
    assert LONG_AGO not in partitions.months()
    assert tenant.period.spent_usd == Decimal("0.28")
    assert BudgetPeriod.objects.get(budget=younger).spent_usd == Decimal("0.28")
    assert books.differences() == []
    dropped = DroppedMonth.objects.get()
    assert (dropped.month, dropped.records) == (LONG_AGO, 2)
    assert DroppedUsage.objects.get().cost_usd == Decimal("0.18")


def test_a_total_that_is_added_later_counts_what_dropped_months_cost(tmp_path: Path) -> None:
    tenant = make_tenant("5")
    call(tenant, LONG_AGO, "0.03")
    export(tmp_path, drop=True)

    total = tenant.organization.budgets.create(name="All", limit_usd=1, period="total")
    other = tenant.organization.budgets.create(
        name="Prompt", limit_usd=1, period="total", prompt_name="greeting"
    )
    call(tenant, THIS_MONTH, "0.10")

    assert BudgetPeriod.objects.get(budget=total).spent_usd == Decimal("0.13")
    assert not BudgetPeriod.objects.filter(budget=other).exists()
    assert books.differences() == []


def test_a_month_stays_while_its_budgets_may_run(tmp_path: Path) -> None:
    last_month = partitions.months_after(THIS_MONTH, -1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_make_usage_partition(%s)", [last_month])

    with pytest.raises(CommandError, match=r"may still be running"):
        export(tmp_path, last_month, drop=True)

    assert last_month in partitions.months()
    assert list(tmp_path.iterdir()) == []
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {partitions.table_of(last_month)}")


def test_a_month_stays_while_a_call_of_it_is_open(tmp_path: Path) -> None:
    call(make_tenant(), LONG_AGO, cost_usd=None)

    with pytest.raises(CommandError, match="not settled"):
        export(tmp_path, drop=True)


def test_a_month_stays_until_the_reports_have_summed_it(tmp_path: Path) -> None:
    call(make_tenant(), LONG_AGO)
    RollupProgress.objects.update(
        covered_until=datetime.combine(LONG_AGO, datetime.min.time(), UTC) + timedelta(days=3)
    )

    with pytest.raises(CommandError, match="reports"):
        export(tmp_path, drop=True)

    assert UsageRecord.objects.count() == 1


def test_a_month_without_a_partition_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no usage records of 2001-01"):
        export(tmp_path, date(2001, 1, 1))


def test_the_list_says_months_rows_and_what_was_dropped(tmp_path: Path) -> None:
    tenant = make_tenant()
    call(tenant, LONG_AGO)
    call(tenant, THIS_MONTH)
    export(tmp_path, drop=True)
    said = StringIO()

    call_command("usage_partitions", stdout=said)

    lines = said.getvalue().splitlines()
    assert lines[0].split()[:3] == [f"{THIS_MONTH:%Y-%m}", "1", "rows"]
    assert lines[-1] == f"{LONG_AGO:%Y-%m}              1 rows in usage-{LONG_AGO:%Y-%m}.csv.gz"


@pytest.mark.django_db(transaction=False)
def test_the_table_is_made_in_partitions_and_as_one_again_without_a_loss() -> None:
    tenant = make_tenant()
    ids = {call(tenant, LONG_AGO), call(tenant, THIS_MONTH)}
    rebuild = (Path(migrations.__path__[0]) / "0011_rebuild.sql").read_text()

    def kind_and_names() -> tuple[str, set[str]]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT relkind FROM pg_class WHERE relname = 'billing_usagerecord'")
            (kind,) = cursor.fetchone()
            found = connection.introspection.get_constraints(cursor, "billing_usagerecord")
        return kind, {name for name in found if "not_null" not in name}

    in_partitions = kind_and_names()
    with connection.cursor() as cursor:
        cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; {rebuild}")
        cursor.execute("SELECT pg_temp.rebuild_usage(false)")
        as_one = kind_and_names()
        cursor.execute("SELECT pg_temp.rebuild_usage(true)")

    assert (in_partitions[0], as_one[0]) == ("p", "r")
    assert in_partitions[1] == as_one[1] == kind_and_names()[1]
    assert set(UsageRecord.objects.values_list("pk", flat=True)) == ids
    assert {partition_of(one) for one in ids} == {
        partitions.table_of(LONG_AGO),
        partitions.table_of(THIS_MONTH),
    }
    assert books.differences() == []
