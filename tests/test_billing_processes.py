"""The books with several processes on one database, and with one that dies."""

import subprocess
import sys
import time
from decimal import Decimal

import pytest
from django.conf import settings
from django.test import override_settings

from billing import books, sweeper
from billing.models import Outcome, UsageRecord, UsageState
from tests.billing_support import Tenant, make_tenant
from tests.servers import environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


def start(what: str, tenant: Tenant, count: int, hold: str, **env: str) -> "subprocess.Popen[str]":
    organization_id = str(tenant.organization.pk)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.billing_worker", what, organization_id, str(count), hold],
        cwd=settings.BASE_DIR,
        env=environment(**env),
        stdout=subprocess.PIPE,
        text=True,
    )


def test_three_processes_never_overspend_one_budget() -> None:
    tenant = make_tenant("1.00")

    processes = [start("hammer", tenant, 200, "0.007") for _ in range(3)]
    admitted = [int(process.communicate(timeout=120)[0]) for process in processes]

    period = tenant.period
    assert sum(admitted) == 142  # 142 x 0.007 = 0.994; one more would not fit
    assert (period.spent_usd, period.held_usd) == (Decimal("0.994"), Decimal(0))
    assert UsageRecord.objects.filter(state=UsageState.SETTLED).count() == 142
    assert books.differences() == []


def test_what_a_killed_process_held_is_settled_by_the_sweeper() -> None:
    tenant = make_tenant("1.00")
    process = start("hang", tenant, 5, "0.10", PARLEY_LEASE_SECONDS="0.5")
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.communicate()
    assert tenant.period.held_usd == Decimal("0.50")

    time.sleep(0.6)
    with override_settings(LEASE_SECONDS=0.5):
        assert sweeper.sweep() == 5

    assert tenant.period.held_usd == 0
    assert tenant.period.spent_usd == Decimal("0.005")  # five times 1,000 tokens of input
    assert set(UsageRecord.objects.values_list("outcome", flat=True)) == {Outcome.INTERRUPTED}
    assert books.differences() == []
