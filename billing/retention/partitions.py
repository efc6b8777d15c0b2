"""Usage records lie in one partition for each month of UTC, by the moment their ids were made."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db import connection, transaction
from django.utils import timezone

TABLE = "billing_usagerecord"
AHEAD = 2  # months that have a partition before they begin
# The table waits no longer than this for calls that are being written, and tries again next time.
LOCK_TIMEOUT = "5s"

LIST = """
SELECT substring(c.relname FROM '_(\\d{4}_\\d{2})$'), pg_total_relation_size(c.oid)
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'billing_usagerecord'::regclass
ORDER BY c.relname
"""


@dataclass(frozen=True, slots=True)
class Partition:
    """A month's records; without a month it is the one for what fits nowhere else."""

    month: date | None
    rows: int
    size: int  # bytes, with its indexes


def first_day(moment: date | datetime) -> date:
    """Return the first day of the month in UTC."""
    if isinstance(moment, datetime):
        moment = moment.astimezone(UTC).date()
    return moment.replace(day=1)


def months_after(month: date, count: int) -> date:
    """Return the first day of the month that is so many months later."""
    years, index = divmod(month.month - 1 + count, 12)
    return date(month.year + years, index + 1, 1)


def table_of(month: date) -> str:
    """Return the name of a month's partition."""
    return f"{TABLE}_{month:%Y_%m}"


def partitions() -> list[Partition]:
    """Return every partition with its exact number of rows, the earliest month first."""
    with connection.cursor() as cursor:
        cursor.execute(LIST)
        found = cursor.fetchall()
    return [_partition(suffix, size) for suffix, size in found]


def months() -> list[date]:
    """Return the months that have a partition."""
    with connection.cursor() as cursor:
        cursor.execute(LIST)
        return [month for suffix, _ in cursor.fetchall() if (month := _month(suffix))]


def make_ahead() -> int:
    """Make the partitions of this month and of the next ones; return how many were missing.

    Several processes may do it at once. What had to be written to the default partition meanwhile
    moves to its month.
    """
    this_month = first_day(timezone.now())
    there = set(months())
    wanted = [months_after(this_month, ahead) for ahead in range(AHEAD + 1)]
    return sum(_make(month) for month in wanted if month not in there)


@transaction.atomic
def _make(month: date) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        cursor.execute("SELECT billing_make_usage_partition(%s)", [month])
        row = cursor.fetchone()
    return bool(row and row[0])


def _partition(suffix: str | None, size: int) -> Partition:
    month = _month(suffix)
    name = table_of(month) if month else f"{TABLE}_default"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(name)}")  # noqa: S608 - our own name
        row = cursor.fetchone()
    return Partition(month=month, rows=row[0] if row else 0, size=size)


def _month(suffix: str | None) -> date | None:
    if suffix is None:
        return None
    return datetime.strptime(suffix, "%Y_%m").replace(tzinfo=UTC).date()
