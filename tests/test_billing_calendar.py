"""Whose period is now: when midnight comes, and when staff change what a budget's period is."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from billing import books, ledger
from billing.entries import Entry, Hold, Settle
from billing.errors import BudgetExceeded
from billing.models import Budget, BudgetPeriod
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("1.00", period="day", time_zone="Europe/Berlin")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set the clock to a moment in UTC."""

    def put(text: str) -> None:
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        monkeypatch.setattr(timezone, "now", lambda: moment)

    return put


async def held() -> list[tuple[str, Decimal, Decimal]]:
    """Return the periods with what was spent and is held, after a look whether all balances.

    Of a budget whose calendar was changed, which the admin does not allow, no period counts all.
    """
    found = await sync_to_async(books.differences)()
    assert [line for line in found if "running calls do not count" not in line] == []
    return [
        (f"{period.starts_at:%d %H:%M}", period.spent_usd, period.held_usd)
        async for period in BudgetPeriod.objects.order_by("starts_at")
    ]


async def test_a_call_after_midnight_counts_on_the_new_day(
    tenant: Tenant, clock: Callable[[str], None]
) -> None:
    clock("2026-11-21T22:59:59.999")
    late = attempt(tenant, "0.90")
    await ledger.hold(late)
    with pytest.raises(BudgetExceeded, match="resets on 21 November 2026 at 23:00 UTC"):
        await ledger.hold(attempt(tenant, "0.20"))

    clock("2026-11-21T23:00:00")
    await ledger.hold(attempt(tenant, "0.80"))
    await ledger.settle(settlement(late, "0.50"))

    assert await held() == [
        ("20 23:00", Decimal("0.50"), Decimal(0)),
        ("21 23:00", Decimal(0), Decimal("0.80")),
    ]


async def test_a_batch_over_midnight_settles_on_one_day_and_holds_on_the_next(
    tenant: Tenant, clock: Callable[[str], None]
) -> None:
    clock("2026-11-21T22:00")
    late = attempt(tenant, "0.90")
    await ledger.hold(late)

    clock("2026-11-22T02:00")
    batch: list[Entry] = [Settle(settlement(late, "0.50")), Hold(attempt(tenant, "0.80"))]
    await sync_to_async(book)(*batch)

    assert await held() == [
        ("20 23:00", Decimal("0.50"), Decimal(0)),
        ("21 23:00", Decimal(0), Decimal("0.80")),
    ]


async def test_another_kind_of_period_is_in_force_with_the_very_next_call(
    tenant: Tenant, clock: Callable[[str], None]
) -> None:
    clock("2026-11-20T12:00")
    before = attempt(tenant, "0.60")
    await ledger.hold(before)
    await ledger.settle(settlement(before, "0.60"))
    clock("2026-11-21T12:00")
    await ledger.hold(attempt(tenant, "0.30"))

    await Budget.objects.aupdate(period="month")
    with pytest.raises(BudgetExceeded):  # 0.60 yesterday, 0.30 today
        await ledger.hold(attempt(tenant, "0.20"))
    await ledger.hold(attempt(tenant, "0.10"))

    assert await held() == [
        ("31 23:00", Decimal("0.60"), Decimal("0.40")),
        ("19 23:00", Decimal("0.60"), Decimal(0)),
        ("20 23:00", Decimal(0), Decimal("0.30")),
    ]


async def test_another_time_zone_is_in_force_with_the_very_next_call(
    tenant: Tenant, clock: Callable[[str], None]
) -> None:
    clock("2026-11-21T12:00")
    await ledger.hold(attempt(tenant, "0.30"))

    await Budget.objects.aupdate(time_zone="Pacific/Auckland")
    await ledger.hold(attempt(tenant, "0.10"))

    assert await held() == [
        ("20 23:00", Decimal(0), Decimal("0.30")),
        ("21 11:00", Decimal(0), Decimal("0.40")),  # of both: the first was an hour into this day
    ]
