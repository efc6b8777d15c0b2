"""Re-rating: shown first, proposed as adjustments, posted by a second person; records stay."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from billing import books, prices
from billing.corrections import posting, rerating
from billing.corrections.posting import CorrectionRefused
from billing.corrections.rerating import Question
from billing.entries import Hold, Settle
from billing.models import Adjustment, BudgetPeriod, Correction, UsageRecord
from billing.pricing import Tier, TokenUsage
from tests.billing_support import Tenant, attempt, book, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)

# 1000 in and 50 out, at 1 and 4 dollars a million.
OLD = Decimal("0.0012")


def today() -> date:
    return timezone.now().astimezone(UTC).date()


@pytest.fixture
def question() -> Question:
    return Question(first=today() - timedelta(days=1), last=today(), provider="acme")


@pytest.fixture
def staff() -> tuple[User, User]:
    return (
        User.objects.create_superuser("ann", password="secret"),
        User.objects.create_superuser("bob", password="secret"),
    )


def call(tenant: Tenant, cost_usd: str | None = str(OLD), **changes: Any) -> UsageRecord:
    ending = {name: changes.pop(name) for name in ("usage", "service_tier") if name in changes}
    made = attempt(tenant, "0.20", **changes)
    for entry in (Hold(made), Settle(settlement(made, cost_usd, **ending))):
        book(entry)
    return UsageRecord.objects.get(pk=made.id)


def set_price(model: str = "model-1", *, factor: int = 2, **more: Any) -> None:
    prices.set_price(
        provider="acme",
        model=model,
        input_usd=Decimal(factor),
        output_usd=Decimal(4 * factor),
        **more,
    )


def test_a_dry_run_shows_old_new_and_difference_by_model_and_writes_nothing(
    question: Question,
) -> None:
    tenant = make_tenant()
    for model in ("model-1", "model-1", "model-2"):
        call(tenant, model_served=model)
    set_price("model-1")
    set_price("model-2", factor=1)

    answer = rerating.dry_run(question)

    first, second = answer.lines["model-1"], answer.lines["model-2"]
    assert (first.attempts, first.old_usd, first.new_usd) == (2, 2 * OLD, 4 * OLD)
    assert (second.attempts, second.difference_usd) == (1, Decimal(0))
    assert answer.total.difference_usd == 2 * OLD
    assert not Adjustment.objects.exists()
    assert tenant.period.spent_usd == 3 * OLD


def test_what_had_no_price_gets_one_and_what_has_none_keeps_its_cost(question: Question) -> None:
    tenant = make_tenant()
    call(tenant, None, price=None)
    call(tenant, None, price=None, model_served="strange")
    call(tenant, "0.5", model_served="gone")
    set_price()

    lines = rerating.dry_run(question).lines

    assert (lines["model-1"].newly_priced, lines["model-1"].difference_usd) == (1, 2 * OLD)
    assert (lines["strange"].still_unpriced, lines["strange"].new_usd) == (1, Decimal(0))
    assert lines["gone"].difference_usd == 0


def test_tiers_and_service_tiers_count(question: Question) -> None:
    tenant = make_tenant()
    call(tenant, service_tier="flex")
    call(tenant, usage=TokenUsage(input_tokens=200_001))
    flex = Tier(input_usd=Decimal("0.5"), output_usd=Decimal(2), service_tier="flex")
    long = Tier(input_usd=Decimal(10), output_usd=Decimal(20), above_tokens=200_000)
    set_price(factor=1, tiers=(flex, long))

    line = rerating.dry_run(question).lines["model-1"]

    assert line.new_usd == OLD / 2 + Decimal("2.00001")


@pytest.mark.parametrize(
    ("served", "is_priced"),
    [("model-1-2026-08-06", True), ("model-1-20260806", True), ("model-1-mini", False)],
)
def test_a_dated_name_has_the_price_of_its_model_and_no_other(
    question: Question, served: str, is_priced: bool
) -> None:
    call(make_tenant(), None, model_served=served)
    set_price()

    assert bool(rerating.dry_run(question).lines[served].newly_priced) == is_priced


def test_the_difference_is_posted_by_a_second_person_and_records_stay(
    question: Question, staff: tuple[User, User]
) -> None:
    tenant = make_tenant()
    record = call(tenant, prompt_name="greeting", tags=["b", "a"])
    call(tenant)
    set_price()

    correction = rerating.propose(question, by=staff[0], reason="The price was late.")
    assert tenant.period.spent_usd == 2 * OLD
    posting.post(correction, by=staff[1])

    assert tenant.period.spent_usd == 4 * OLD
    assert UsageRecord.objects.get(pk=record.pk).cost_usd == OLD
    rows = {row.prompt_name: row for row in correction.adjustments.all()}
    assert (rows["greeting"].tags, rows["greeting"].amount_usd) == (["a", "b"], OLD)
    assert books.differences() == []


def test_what_was_posted_is_not_posted_again(question: Question, staff: tuple[User, User]) -> None:
    tenant = make_tenant()
    call(tenant)
    set_price()
    posting.post(rerating.propose(question, by=staff[0], reason="Late"), by=staff[1])

    assert rerating.dry_run(question).total.difference_usd == 0
    with pytest.raises(CorrectionRefused, match="nothing to correct"):
        rerating.propose(question, by=staff[0], reason="Again")

    set_price(factor=1)
    posting.post(rerating.propose(question, by=staff[0], reason="Back"), by=staff[1])
    assert tenant.period.spent_usd == OLD
    assert books.differences() == []


def test_only_one_re_rating_of_the_same_days_waits(
    question: Question, staff: tuple[User, User]
) -> None:
    call(make_tenant())
    set_price()
    rerating.propose(question, by=staff[0], reason="Late")

    with pytest.raises(CorrectionRefused, match="waits for a second person"):
        rerating.propose(question, by=staff[1], reason="Late too")


def test_hits_running_calls_other_days_and_other_providers_are_left_out(
    question: Question,
) -> None:
    tenant = make_tenant()
    call(tenant, provider="other")
    call(tenant, "0", usage=TokenUsage())  # it failed before it cost anything
    old = call(tenant)
    UsageRecord.objects.filter(pk=old.pk).update(started_at=timezone.now() - timedelta(days=3))
    book(Hold(attempt(tenant)))
    set_price()

    assert rerating.dry_run(question).lines == {}


def test_a_daily_budget_of_another_time_zone_gets_what_is_of_its_own_day(
    staff: tuple[User, User],
) -> None:
    tenant = make_tenant(period="day", time_zone="America/New_York")
    record = call(tenant)
    late = datetime(2026, 11, 3, 1, 20, tzinfo=UTC)  # the evening of the day before, there
    day = BudgetPeriod.objects.get()
    BudgetPeriod.objects.filter(pk=day.pk).update(
        starts_at=datetime(2026, 11, 2, 5, tzinfo=UTC), ends_at=datetime(2026, 11, 3, 5, tzinfo=UTC)
    )
    UsageRecord.objects.filter(pk=record.pk).update(started_at=late)
    prices.set_price(
        provider="acme", model="model-1", input_usd=Decimal("0.5"), output_usd=Decimal(2)
    )
    question = Question(first=date(2026, 11, 3), last=date(2026, 11, 3), provider="acme")

    posting.post(rerating.propose(question, by=staff[0], reason="Cheaper"), by=staff[1])

    day.refresh_from_db()
    assert day.spent_usd == OLD / 2
    assert books.differences() == []


def test_the_command_shows_and_proposes(staff: tuple[User, User]) -> None:
    call(make_tenant())
    set_price()
    days = ["--provider=acme", f"--from={today() - timedelta(days=1)}", f"--to={today()}"]
    said = StringIO()

    call_command("rerate", *days, "--dry-run", stdout=said)
    assert not Correction.objects.exists()
    assert "0.001200        0.002400       +0.001200" in said.getvalue()

    call_command("rerate", *days, "--propose-as=ann", "--reason=Late", stdout=said)
    assert Correction.objects.get().proposed_by == staff[0]
    with pytest.raises(CommandError, match="not one of the staff"):
        call_command("rerate", *days, "--propose-as=nobody", stdout=said)
