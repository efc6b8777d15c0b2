"""The books with several processes on one database, and with one that dies."""

import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from billing import books, sweeper
from billing.models import Outcome, UsageRecord, UsageState
from tests.billing_support import Tenant, make_tenant
from tests.servers import environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


PATIENCE = 600  # seconds


def start(what: str, tenant: Tenant, count: int, hold: str, **env: str) -> "subprocess.Popen[str]":
    organization_id = str(tenant.organization.pk)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.billing_worker", what, organization_id, str(count), hold],
        cwd=settings.BASE_DIR,
        env=environment(**env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_of_four_processes_with_fifty_calls_each_exactly_ten_fit() -> None:
    tenants = [make_tenant("1.00") for _ in range(5)]
    processes = [start("together", tenants[0], 50, "0.10") for _ in range(4)]

    for tenant in tenants:
        for process in processes:
            say(process, str(tenant.organization.pk))
        assert sum(int(hear(process)) for process in processes) == 10
        assert UsageRecord.objects.filter(organization=tenant.organization).count() == 10
        assert (tenant.period.spent_usd, tenant.period.held_usd) == (Decimal(0), Decimal(1))

    for process in processes:
        process.communicate(timeout=PATIENCE)
    assert books.differences() == []


def say(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def hear(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return str(process.stdout.readline())


def test_three_processes_never_overspend_one_budget() -> None:
    tenant = make_tenant("1.00")

    processes = [start("hammer", tenant, 200, "0.007") for _ in range(3)]
    admitted = [int(process.communicate(timeout=PATIENCE)[0]) for process in processes]

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

    deadline = time.monotonic() + PATIENCE
    with override_settings(LEASE_SECONDS=0.5):
        while UsageRecord.objects.filter(state=UsageState.STARTED).exists():
            assert time.monotonic() < deadline
            sweeper.sweep()
            time.sleep(0.05)

    assert tenant.period.held_usd == 0
    assert tenant.period.spent_usd == Decimal("0.005")  # five times 1,000 tokens of input
    assert set(UsageRecord.objects.values_list("outcome", flat=True)) == {Outcome.INTERRUPTED}
    assert books.differences() == []


def restarted(folder: Path, *ends: str) -> dict[str, Any]:
    """Return what became of the calls of fifty callers, in whose midst PostgreSQL ended."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.billing_restart", str(folder), *ends],
        cwd=settings.BASE_DIR,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    assert found["differences"] == []
    assert (Decimal(found["spent"]), Decimal(found["held"])) == (Decimal(0), Decimal(0))
    # Of whose commit nobody knew: they were not made, and are in the books as free if at all.
    assert all(Decimal(cost) == 0 for cost in found["others"])
    return found


def test_a_restart_of_postgresql_under_load_loses_and_repeats_nothing(tmp_path: Path) -> None:
    found = restarted(tmp_path, "stop")

    assert found["made"] >= 450
    assert found["lost"] == 0
    assert found["costs"] == ["0.005"]


def test_a_crash_of_postgresql_under_load_loses_and_repeats_nothing(tmp_path: Path) -> None:
    found = restarted(tmp_path, "crash", "kill")

    assert found["made"] >= 600
    # A hold does not wait for the disk, but whoever made it knows of it and makes it again.
    assert found["lost"] == 0
    assert found["costs"] == ["0.005"]
