"""What concerns Parley itself is told too: overruns, models without a price, wrong books."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from billing import ledger_writer
from billing.alerts.operations import find
from billing.corrections import posting
from billing.entries import Hold
from billing.models import Adjustment, Alert, AlertDelivery, BookCheck, Overrun, UsageRecord
from core.ids import new_id
from tests.alerts_support import HALFWAY, SetClock, add_rule, email, make_budget, spend
from tests.billing_support import PRICE, attempt, make_tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def told() -> list[str]:
    return sorted(AlertDelivery.objects.values_list("channel__name", flat=True))


def called(**fields: Any) -> UsageRecord:
    values: dict[str, Any] = {
        **{"organization": make_tenant().organization, "surface": "api", "request_id": "r"},
        **{"provider": "acme", "model_asked": "new", "model_served": "new-1"},
        **{"started_at": HALFWAY, "lease_expires_at": HALFWAY},
    }
    return UsageRecord.objects.create(**values | fields)


def overrun(budget: Any, over_usd: str, clock: SetClock) -> None:
    Overrun.objects.create(
        usage_id=new_id(),
        period=spend(budget, "120"),
        held_usd=Decimal(1),
        cost_usd=Decimal(1) + Decimal(over_usd),
        over_usd=Decimal(over_usd),
        created_at=clock(),
    )


def test_a_model_without_a_price_is_told_once_a_month(clock: SetClock) -> None:
    email(name="Operations", takes_operations=True)
    email(name="Other")
    called()
    called()

    assert (find(clock), find(clock)) == (1, 0)

    alert = Alert.objects.get()
    assert alert.title == "new-1 of acme is used and has no price"
    assert told() == ["Operations"]
    clock.move(days=20)
    called(started_at=clock.now)
    assert find(clock) == 1


def test_a_call_that_the_ledger_books_without_a_price_is_found() -> None:
    email(name="Operations", takes_operations=True)
    tenant = make_tenant()
    for price in (None, PRICE):
        made = attempt(tenant, price=price, model_served="no" if price is None else "yes")
        ledger_writer.write([Hold(made)])

    assert find() == 1

    assert Alert.objects.get().facts == {"provider": "acme", "model": "no"}


@pytest.mark.parametrize(
    "fields",
    [
        {"price": {"input_usd": "1", "output_usd": "1"}},
        {"is_cache_hit": True},
        {"started_at": HALFWAY - timedelta(hours=1)},
    ],
)
def test_a_price_an_answer_from_the_cache_or_an_old_call_is_no_alert(
    clock: SetClock, fields: dict[str, Any]
) -> None:
    called(**fields)

    assert find(clock) == 0


def test_an_overrun_is_told_to_operations_and_to_the_budgets_channels(clock: SetClock) -> None:
    both = email(name="Both", takes_operations=True)
    budget = make_budget("100")
    add_rule(budget, both, email(name="Team"), thresholds=(80,))
    email(name="Other")
    overrun(budget, "0.25", clock)
    overrun(budget, "0.5", clock)

    assert (find(clock), find(clock)) == (1, 0)

    alert = Alert.objects.get()
    assert alert.text.startswith("2 calls have cost $0.75 more than the worst case")
    assert alert.facts["overrun_usd"] == "0.75"
    assert told() == ["Both", "Team"]
    overrun(budget, "1", clock)
    assert find(clock) == 0


def test_a_correction_beyond_a_hard_limit_is_told_beside_the_calls(clock: SetClock) -> None:
    both = email(name="Both", takes_operations=True)
    budget = make_budget("100")
    add_rule(budget, both, thresholds=(80,))
    overrun(budget, "0.25", clock)
    people = [User.objects.create_superuser(name, password="secret") for name in ("ann", "bob")]
    row = Adjustment(organization=budget.organization, day=clock().date(), amount_usd=Decimal(9))
    correction = posting.propose(by=people[0], reason="The invoice.", adjustments=[row])
    posting.post(correction, by=people[1])
    Overrun.objects.filter(correction=correction).update(created_at=clock())

    assert (find(clock), find(clock)) == (2, 0)

    alert = Alert.objects.get(facts__correction_id=correction.pk)
    assert "beyond the limit" in alert.title
    assert "added $9.00, of which $9.00 had no room" in alert.text
    assert "The invoice." in alert.text


def test_books_that_do_not_balance_are_told_once_a_day(clock: SetClock) -> None:
    email(name="Operations", takes_operations=True)
    for count, lines in ((0, []), (21, [f"Line {number}" for number in range(21)]), (3, ["a"])):
        BookCheck.objects.create(
            started_at=clock.now, duration_ms=1, difference_count=count, lines=lines
        )
        clock.move(minutes=1)

    assert (find(clock), find(clock)) == (1, 0)

    alert = Alert.objects.get()
    assert alert.title == "The books do not balance: 21 differences"
    assert alert.text.splitlines()[1] == "Line 0"
    assert alert.text.splitlines()[-2:] == ["Line 19", "There are more."]
    assert told() == ["Operations"]


def test_what_nobody_is_told_of_is_recorded_all_the_same(clock: SetClock) -> None:
    called()

    assert find(clock) == 1
    assert told() == []
