"""Holds that a crash of PostgreSQL has lost are made again, and only those."""

from decimal import Decimal

import pytest

from billing import books, ledger_again, ledger_writer
from billing.entries import Hold, Settle
from billing.models import Overrun, UsageRecord, UsageState
from tests.billing_support import attempt, make_tenant, settlement

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_settlement_of_a_call_whose_hold_was_lost_is_booked() -> None:
    tenant = make_tenant("1.00")
    lost, known = attempt(tenant, "0.10"), attempt(tenant, "0.20")
    ledger_writer.write([Hold(known)])

    results = ledger_again.write([Settle(settlement(lost, "0.03"))], [known, lost])

    assert results == [None]
    assert (tenant.period.spent_usd, tenant.period.held_usd) == (Decimal("0.03"), Decimal("0.20"))
    assert UsageRecord.objects.get(pk=lost.id).state == UsageState.SETTLED
    assert books.differences() == []


def test_what_has_no_room_any_more_was_called_all_the_same_and_is_an_overrun() -> None:
    tenant = make_tenant("0.10")
    lost, later = attempt(tenant, "0.10"), attempt(tenant, "0.10")
    ledger_writer.write([Hold(later)])  # in the room that the lost one had

    results = ledger_again.write([Settle(settlement(lost, "0.03"))], [lost])

    assert results == [None]
    assert (tenant.period.spent_usd, tenant.period.held_usd) == (Decimal("0.03"), Decimal("0.10"))
    assert [overrun.over_usd for overrun in Overrun.objects.all()] == [Decimal("0.03")]
    assert books.differences() == []
