"""Corrections: two people, one transaction, every budget that counts such calls, no edits."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from billing import books, ledger_writer
from billing.corrections import posting
from billing.corrections.posting import CorrectionRefused
from billing.entries import Hold, Settle
from billing.errors import BudgetExceeded
from billing.models import (
    Adjustment,
    BudgetPeriod,
    Correction,
    CorrectionState,
    Overrun,
    UsageRecord,
)
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ann() -> User:
    return User.objects.create_superuser("ann", password="secret")


@pytest.fixture
def bob() -> User:
    return User.objects.create_superuser("bob", password="secret")


def today() -> date:
    return timezone.now().astimezone(UTC).date()


def call(tenant: Tenant, cost_usd: str = "0.10", **changes: Any) -> UsageRecord:
    made = attempt(tenant, "0.20", **changes)
    for entry in (Hold(made), Settle(settlement(made, cost_usd))):
        book(entry)
    return UsageRecord.objects.get(pk=made.id)


def adjustment(tenant: Tenant, amount_usd: str, **values: Any) -> Adjustment:
    made = {"organization": tenant.organization, "day": today(), "amount_usd": Decimal(amount_usd)}
    return Adjustment(**{**made, **values})


def proposed(by: User, *adjustments: Adjustment) -> Correction:
    return posting.propose(by=by, reason="The invoice says otherwise.", adjustments=adjustments)


@pytest.mark.parametrize(("amount_usd", "spent_usd"), [("0.05", "0.15"), ("-0.04", "0.06")])
def test_a_posted_adjustment_changes_what_was_spent(
    ann: User, bob: User, amount_usd: str, spent_usd: str
) -> None:
    tenant = make_tenant()
    record = call(tenant)
    correction = proposed(ann, adjustment(tenant, amount_usd))
    assert tenant.period.spent_usd == Decimal("0.10")

    posting.post(correction, by=bob)

    assert tenant.period.spent_usd == Decimal(spent_usd)
    assert UsageRecord.objects.get(pk=record.pk).cost_usd == record.cost_usd
    assert books.differences() == []


def test_nobody_posts_what_they_have_proposed(ann: User) -> None:
    tenant = make_tenant()
    call(tenant)
    correction = proposed(ann, adjustment(tenant, "0.05"))

    with pytest.raises(CorrectionRefused, match="Somebody else"):
        posting.post(correction, by=ann)

    assert tenant.period.spent_usd == Decimal("0.10")
    assert Correction.objects.get().state == CorrectionState.PROPOSED


def test_the_database_itself_wants_a_second_person(ann: User) -> None:
    correction = proposed(ann, adjustment(make_tenant(), "0.05"))

    with pytest.raises(IntegrityError, match="correction_second_person"):
        Correction.objects.filter(pk=correction.pk).update(
            state=CorrectionState.POSTED, decided_by=ann, decided_at=timezone.now()
        )


def test_less_than_nothing_is_never_spent_and_nothing_is_half_posted(ann: User, bob: User) -> None:
    tenant, other = make_tenant(), make_tenant()
    call(tenant)
    call(other)
    correction = proposed(ann, adjustment(tenant, "0.05"), adjustment(other, "-0.11"))

    with pytest.raises(CorrectionRefused, match="Less than nothing"):
        posting.post(correction, by=bob)

    assert (tenant.period.spent_usd, other.period.spent_usd) == (Decimal("0.10"), Decimal("0.10"))
    assert Correction.objects.get().state == CorrectionState.PROPOSED
    assert books.differences() == []


def test_it_is_posted_once(ann: User, bob: User) -> None:
    tenant = make_tenant()
    call(tenant)
    correction = proposed(ann, adjustment(tenant, "0.05"))
    posting.post(correction, by=bob)

    with pytest.raises(CorrectionRefused, match="posted already"):
        posting.post(correction, by=bob)

    assert tenant.period.spent_usd == Decimal("0.15")


def test_what_was_declined_is_not_posted(ann: User, bob: User) -> None:
    tenant = make_tenant()
    call(tenant)
    correction = proposed(ann, adjustment(tenant, "0.05"))

    posting.decline(correction, by=ann)

    with pytest.raises(CorrectionRefused, match="declined already"):
        posting.post(correction, by=bob)
    assert tenant.period.spent_usd == Decimal("0.10")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing_adjustment SET amount_usd = 9",
        "DELETE FROM billing_adjustment",
        "UPDATE billing_correction SET reason = 'other'",
        "DELETE FROM billing_correction",
        "UPDATE billing_correction SET state = 'proposed', decided_by_id = NULL, decided_at = NULL",
    ],
)
def test_what_was_posted_is_never_edited(ann: User, bob: User, change: str) -> None:
    tenant = make_tenant()
    posting.post(proposed(ann, adjustment(tenant, "0.05")), by=bob)

    with (
        pytest.raises(IntegrityError, match="is not edited"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change)


def test_nothing_joins_a_correction_that_was_posted(ann: User, bob: User) -> None:
    tenant = make_tenant()
    correction = posting.post(proposed(ann, adjustment(tenant, "0.05")), by=bob)

    with pytest.raises(IntegrityError, match="is not edited"), transaction.atomic():
        adjustment(tenant, "1", correction=correction).save()


def test_only_budgets_that_count_such_calls_change(ann: User, bob: User) -> None:
    tenant = make_tenant("9", prompt_name="greeting")
    budgets = tenant.organization.budgets
    tagged = budgets.create(name="Tag", limit_usd=9, tag="blue")
    other = budgets.create(name="Other", limit_usd=9, model="other")
    everything = budgets.create(name="All", limit_usd=9)
    call(tenant, prompt_name="greeting", tags=["blue"], model_asked="other")

    posting.post(
        proposed(ann, adjustment(tenant, "0.01", prompt_name="greeting", tags=["blue"])), by=bob
    )

    spent = dict(BudgetPeriod.objects.values_list("budget", "spent_usd"))
    assert spent == {
        tenant.budget.pk: Decimal("0.11"),
        tagged.pk: Decimal("0.11"),
        other.pk: Decimal("0.10"),
        everything.pk: Decimal("0.11"),
    }
    assert books.differences() == []


def test_a_day_that_is_over_changes_only_the_periods_it_lies_in(ann: User, bob: User) -> None:
    tenant = make_tenant(period="day")
    total = tenant.organization.budgets.create(name="All", limit_usd=9, period="total")
    call(tenant)

    posting.post(
        proposed(ann, adjustment(tenant, "0.05", day=today() - timedelta(days=40))), by=bob
    )

    assert tenant.period.spent_usd == Decimal("0.10")
    assert BudgetPeriod.objects.get(budget=total).spent_usd == Decimal("0.15")


@pytest.mark.parametrize(
    ("day", "is_counted"), [(date(2026, 3, 31), False), (date(2026, 4, 1), True)]
)
def test_the_day_is_one_of_the_budgets_own_calendar(
    ann: User, bob: User, day: date, is_counted: bool
) -> None:
    tenant = make_tenant(time_zone="Pacific/Kiritimati")  # 14 hours before UTC
    april = datetime(2026, 3, 31, 10, tzinfo=UTC)
    period = BudgetPeriod.objects.create(
        budget=tenant.budget, starts_at=april, ends_at=datetime(2026, 4, 30, 10, tzinfo=UTC)
    )

    posting.post(proposed(ann, adjustment(tenant, "0.05", day=day)), by=bob)

    period.refresh_from_db()
    assert period.spent_usd == (Decimal("0.05") if is_counted else 0)


def test_a_budget_that_is_added_later_counts_adjustments_too(ann: User, bob: User) -> None:
    tenant = make_tenant()
    call(tenant)
    posting.post(proposed(ann, adjustment(tenant, "0.05"), adjustment(tenant, "-0.01")), by=bob)

    later = tenant.organization.budgets.create(name="Later", limit_usd=9)
    call(tenant)

    assert BudgetPeriod.objects.get(budget=later).spent_usd == Decimal("0.24")
    assert tenant.period.spent_usd == Decimal("0.24")
    assert books.differences() == []


def test_a_new_period_never_begins_below_zero(ann: User, bob: User) -> None:
    tenant = make_tenant()
    posting.post(proposed(ann, adjustment(tenant, "-5")), by=bob)  # no period is open

    call(tenant)

    assert tenant.period.spent_usd == Decimal("0.10")
    assert books.differences() == []


def test_an_adjustment_takes_room_and_gives_it_back(ann: User, bob: User) -> None:
    tenant = make_tenant("0.50")
    call(tenant)
    posting.post(proposed(ann, adjustment(tenant, "0.60")), by=bob)  # beyond the limit

    (refused,) = ledger_writer.write([Hold(attempt(tenant, "0.20"))])
    posting.post(proposed(ann, adjustment(tenant, "-0.60")), by=bob)
    (taken,) = ledger_writer.write([Hold(attempt(tenant, "0.20"))])

    assert isinstance(refused, BudgetExceeded)
    assert taken == Decimal("0.20")  # 0.10 spent, 0.20 held
    assert books.differences() == []


def test_beyond_a_hard_limit_it_is_an_overrun_and_admits_nothing(ann: User, bob: User) -> None:
    tenant = make_tenant("0.50")
    call(tenant)

    posted = posting.post(proposed(ann, adjustment(tenant, "0.60")), by=bob)

    row = Overrun.objects.get()
    assert (row.correction, row.usage_id) == (posted, None)
    assert (row.held_usd, row.cost_usd, row.over_usd) == tuple(map(Decimal, ("0.4", "0.6", "0.2")))
    period = tenant.period
    assert (period.spent_usd, period.overrun_usd) == (Decimal("0.70"), Decimal("0.20"))
    assert period.peak_usd == tenant.budget.limit_usd
    assert books.differences() == []


@pytest.mark.parametrize("soft", [{"is_hard": False}, {"is_active": False}])
def test_a_budget_that_refuses_nothing_is_not_overrun(
    ann: User, bob: User, soft: dict[str, bool]
) -> None:
    tenant = make_tenant("0.50", **soft)
    call(tenant)

    posting.post(proposed(ann, adjustment(tenant, "0.60")), by=bob)

    assert not Overrun.objects.exists()
    assert tenant.period.peak_usd == Decimal("0.70")
    assert books.differences() == []


def test_what_a_correction_adds_and_takes_at_once_is_one_amount(ann: User, bob: User) -> None:
    tenant = make_tenant("0.50")
    call(tenant)

    posting.post(proposed(ann, adjustment(tenant, "0.60"), adjustment(tenant, "-0.30")), by=bob)

    assert not Overrun.objects.exists()
    assert tenant.period.spent_usd == Decimal("0.40")
    assert books.differences() == []


def test_an_overrun_that_its_adjustments_do_not_explain_is_found(ann: User, bob: User) -> None:
    tenant = make_tenant("0.50")
    call(tenant)
    posting.post(proposed(ann, adjustment(tenant, "0.60")), by=bob)

    Overrun.objects.update(cost_usd=Decimal("0.7"), held_usd=Decimal("0.5"))

    (line,) = books.differences()
    assert "its overrun says 0.700000000000 but its adjustments 0.600000000000" in line


def test_a_missing_adjustment_is_found_by_the_books(ann: User, bob: User) -> None:
    tenant = make_tenant()
    call(tenant)
    posting.post(proposed(ann, adjustment(tenant, "0.05")), by=bob)

    BudgetPeriod.objects.update(spent_usd=Decimal("0.10"))

    (line,) = books.differences()
    assert "spent 0.100000000000 but records say 0.150000000000" in line
