"""A run goes on when its worker is killed, and its cost is still exact."""

import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from django.conf import settings

from accounts.models import Organization
from billing import books
from billing.models import UsageRecord, UsageState
from prompts.models import CaseResult, DatasetRun, RunState
from tests.llm_support import MARKS
from tests.servers import environment
from tests.testing_support import HELLO, MODEL, begin, make_dataset, make_prompt
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = [*MARKS, pytest.mark.processes]

PATIENCE = 120  # seconds; nobody waits so long but where something is broken


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_another_worker_goes_on_when_one_is_killed(acme: Organization, vendor: FakeVendor) -> None:
    vendor.serve(MODEL)
    gate = Gate()
    vendor.script(*[Answer()] * 3, Answer(gate=gate))
    run = begin(make_dataset(make_prompt(acme), *[[HELLO]] * 10))

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=settings.BASE_DIR,
            env=environment(PARLEY_LEASE_SECONDS="2"),
        )

    first = start()
    wait_for(lambda: CaseResult.objects.count() == 3 and len(vendor.requests) == 7)
    first.kill()
    first.wait()
    gate.open()
    kept = set(CaseResult.objects.values_list("pk", "case_name"))
    second = start()
    wait_for(lambda: DatasetRun.objects.get().state == RunState.DONE)
    second.terminate()

    assert second.wait(PATIENCE) == 0
    results = set(CaseResult.objects.values_list("pk", "case_name"))
    assert len(results) == 10
    assert kept <= results
    assert len(vendor.requests) == 7 + 7
    run.refresh_from_db()
    records = UsageRecord.objects.all()
    assert not records.filter(state=UsageState.STARTED).exists()
    assert run.spent_usd == sum(row.cost_usd or 0 for row in records)
    assert books.differences() == []
