"""Looking the books over: everything that can be wrong is found, and said in words."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing import books
from billing.entries import Attempt, Hold, Settle
from billing.models import BookCheck, Budget, BudgetPeriod, Overrun, UsageRecord
from core.ids import new_id
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)

NIGHT = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant("1.00")


def hold(tenant: Tenant, hold_usd: str = "0.10") -> Attempt:
    made = attempt(tenant, hold_usd)
    book(Hold(made))
    return made


def call(tenant: Tenant, hold_usd: str = "0.10", cost_usd: str = "0.03") -> Attempt:
    made = hold(tenant, hold_usd)
    book(Settle(settlement(made, cost_usd)))
    return made


def spent_is_changed(tenant: Tenant) -> None:
    BudgetPeriod.objects.update(spent_usd=F("spent_usd") - Decimal("0.01"))


def held_is_changed(tenant: Tenant) -> None:
    BudgetPeriod.objects.update(held_usd=0)


def overrun_is_lost(tenant: Tenant) -> None:
    call(tenant, "0.10", "0.15")
    Overrun.objects.all().delete()


def record_is_lost(tenant: Tenant) -> None:
    UsageRecord.objects.filter(state="settled").delete()


def record_is_uncounted(tenant: Tenant) -> None:
    """A call that no budget was asked for."""
    UsageRecord.objects.create(
        id=new_id(),
        organization=tenant.organization,
        cost_usd=Decimal("0.02"),
        state="settled",
        outcome="success",
        lease_expires_at=timezone.now(),
    )


def opening_is_changed(tenant: Tenant) -> None:
    BudgetPeriod.objects.update(
        opening_usd=Decimal("0.01"), spent_usd=F("spent_usd") + Decimal("0.01"), peak_usd=1
    )


def lease_ran_out(tenant: Tenant) -> None:
    UsageRecord.objects.filter(state="started").update(
        lease_expires_at=timezone.now() - timedelta(hours=1)
    )


def limit_is_overspent(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE billing_budgetperiod DROP CONSTRAINT budget_period_admitted")
        cursor.execute("UPDATE billing_budgetperiod SET spent_usd = 2")


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (spent_is_changed, r"“Monthly”: spent 0\.020+ but records say 0\.030+"),
        (held_is_changed, r"held 0E?.* but records say 0\.100+"),
        (overrun_is_lost, r"overrun 0\.050+ but records say 0\.050+ and its rows 0"),
        (record_is_lost, r"spent 0\.030+ but records say 0"),
        (record_is_uncounted, r"calls that do not name it cost 0\.020+"),
        (opening_is_changed, r"opened with 0\.010+, but calls that do not name it cost 0"),
        (lease_ran_out, r"Attempt .* is open, but its lease ran out at "),
        (limit_is_overspent, r"spent 2\.0+ and held 0\.100+ are above what was admitted \(1\.0+\)"),
    ],
)
def test_damage_is_found_and_said(
    tenant: Tenant, damage: Callable[[Tenant], None], line: str
) -> None:
    call(tenant)
    hold(tenant)
    assert books.differences() == []

    with transaction.atomic():
        damage(tenant)
        with pytest.raises(CommandError, match=line):
            call_command("check_books")
        transaction.set_rollback(True)

    assert books.differences() == []  # the damage was undone with its transaction


def test_an_attempt_that_is_there_twice_is_found(tenant: Tenant) -> None:
    """Where the primary key cannot see it: in two parts of a table that is divided by time."""
    made = hold(tenant)

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE billing_usagerecord ON COMMIT DROP AS "
            "SELECT * FROM public.billing_usagerecord "
            "UNION ALL SELECT * FROM public.billing_usagerecord"
        )
        with pytest.raises(CommandError, match=f"Attempt {made.id} is in the books 2 times"):
            call_command("check_books")


def test_the_database_itself_refuses_what_was_not_admitted(tenant: Tenant) -> None:
    hold(tenant, "1.00")

    for amounts in ({"held_usd": Decimal("1.01")}, {"spent_usd": Decimal("0.01")}):
        with pytest.raises(IntegrityError, match="budget_period_admitted"):
            BudgetPeriod.objects.update(**amounts)


def test_an_overrun_is_booked_in_full_and_kept_for_each_budget(tenant: Tenant) -> None:
    Budget.objects.create(
        organization=tenant.organization, name="Soft", limit_usd=Decimal(1), is_hard=False
    )
    made = call(tenant, "0.90", "1.25")
    book(Settle(settlement(made, "9")))  # books nothing

    rows = Overrun.objects.order_by("period__budget__name")
    assert [row.period.budget.name for row in rows] == ["Monthly", "Soft"]
    for row in rows:
        assert row.usage_id == made.id
        assert (row.held_usd, row.cost_usd) == (Decimal("0.90"), Decimal("1.25"))
        assert row.over_usd == row.period.overrun_usd == Decimal("0.35")
        assert row.period.spent_usd == Decimal("1.25")
    assert books.differences() == []


def test_an_overrun_of_a_budget_that_was_deleted_keeps_nobody_from_settling(tenant: Tenant) -> None:
    made = hold(tenant)
    Budget.objects.all().delete()

    book(Settle(settlement(made, "5")))

    assert not Overrun.objects.exists()
    assert UsageRecord.objects.get().cost_usd == 5


def test_check_books_keeps_its_result(tenant: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    call(tenant)

    call_command("check_books")

    assert capsys.readouterr().out == "The books balance.\n"
    kept = BookCheck.objects.get()
    assert (kept.difference_count, kept.lines, kept.night) == (0, [], None)


def test_of_several_workers_one_checks_the_books_once_a_night(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(tenant)
    BudgetPeriod.objects.update(spent_usd=Decimal("0.01"))
    all_are_here = Barrier(4)
    monkeypatch.setattr(timezone, "now", lambda: NIGHT)

    def work() -> int:
        all_are_here.wait(60)
        try:
            return books.check_nightly()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as workers:
        checks = [worker.result(120) for worker in [workers.submit(work) for _ in range(4)]]

    assert sum(checks) == 1
    assert books.check_nightly() == 0
    kept = BookCheck.objects.get()
    assert (kept.night, kept.difference_count) == (NIGHT.date(), 1)
    assert "“Monthly”: spent 0.01" in kept.lines[0]


def test_the_night_begins_at_two(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NIGHT.replace(hour=1))
    assert books.check_nightly() == 0
    monkeypatch.setattr(timezone, "now", lambda: NIGHT + timedelta(days=1))
    assert books.check_nightly() == 1


def test_staff_see_checks_and_overruns(tenant: Tenant, client: Client) -> None:
    client.force_login(User.objects.create_superuser("staff", password=None))
    call(tenant, "0.10", "0.15")
    books.check()
    BudgetPeriod.objects.update(spent_usd=Decimal("0.01"))
    found = books.check()

    overruns = client.get(reverse("admin:billing_overrun_changelist")).content.decode()
    checks = client.get(reverse("admin:billing_bookcheck_changelist")).content.decode()
    detail = client.get(reverse("admin:billing_bookcheck_change", args=[found.pk]))

    assert "Monthly" in overruns
    assert "$0.05" in overruns
    assert "The books balance." in checks
    assert "1 difference" in checks
    assert "records say 0.15" in detail.content.decode()
