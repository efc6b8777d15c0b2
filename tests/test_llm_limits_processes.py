"""Limits over several processes, over one that dies, and without Redis."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from pytest_django import Settings

from accounts.models import Organization
from core import redis
from core.outage import Outage
from llm import limits
from llm.limits import rules, shared
from tests.limits_support import call_by, is_admitted, limit, refused
from tests.llm_support import MARKS, ask, collect
from tests.servers import environment
from tests.vendor import FakeVendor

pytestmark = MARKS

alimit = sync_to_async(limit)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(shared, "outage", Outage("llm.limits"))
    rules.forget()
    yield
    rules.forget()


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture(autouse=True)
async def close_limits() -> AsyncIterator[None]:
    yield
    await limits.close()


def start(what: str, organization: Organization, count: int, **env: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.limits_worker", what, str(organization.pk), str(count)],
        cwd=settings.BASE_DIR,
        env=environment(**env),
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.processes
def test_processes_share_their_counters(acme: Organization) -> None:
    limit(requests=50, parallel=70)

    processes = [start("hammer", acme, 40) for _ in range(2)]
    admitted = [int(process.communicate(timeout=60)[0]) for process in processes]

    assert sum(admitted) == 50


@pytest.mark.processes
async def test_the_places_of_a_killed_process_are_free_when_its_leases_end(
    acme: Organization,
) -> None:
    await alimit(parallel=3)
    process = await asyncio.to_thread(start, "hang", acme, 5, PARLEY_LEASE_SECONDS="1")
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "3\n"
    await asyncio.sleep(1.2)  # it renews them
    assert not await is_admitted(call_by(acme))

    process.kill()
    await asyncio.to_thread(process.communicate)
    await asyncio.sleep(1.1)

    assert await is_admitted(call_by(acme))


# --- When Redis is away ---------------------------------------------------------------------------


async def test_without_redis_the_limits_hold_in_each_process(
    vendor: FakeVendor, acme: Organization, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    await vendor.aserve()
    await alimit(requests=2, tokens=10_000, parallel=2)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    await redis.close()

    await collect(ask(), call_by(acme))
    await collect(ask(), call_by(acme))
    error = await refused(call_by(acme))

    assert error.retry_after == pytest.approx(60, abs=2)
    assert caplog.text.count("llm.limits_away") == 1
