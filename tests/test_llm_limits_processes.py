"""Limits over several processes, over one that dies, and without Redis."""

import asyncio
import subprocess
import sys

import pytest
from django.conf import settings
from pytest_django import Settings

from accounts.models import Organization
from core import redis
from llm.models import Limit
from tests.limits_support import alimit, call_by, is_admitted, limit, refused
from tests.llm_support import MARKS, PATIENCE, ask, collect
from tests.servers import environment
from tests.vendor import FakeVendor

pytestmark = MARKS


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
    admitted = [int(process.communicate(timeout=PATIENCE)[0]) for process in processes]

    assert sum(admitted) == 50


@pytest.mark.processes
async def test_the_places_of_a_killed_process_are_free_when_its_leases_end(
    acme: Organization,
) -> None:
    made = await alimit(parallel=3)
    process = await asyncio.to_thread(start, "hang", acme, 5, PARLEY_LEASE_SECONDS="4")
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "3\n"
        ends_at = await leases_end_at(made)
        while await leases_end_at(made) <= ends_at:  # noqa: ASYNC110 - the other process renews
            await asyncio.sleep(0.05)
        assert not await is_admitted(call_by(acme))
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)

    async with asyncio.timeout(PATIENCE):
        while not await is_admitted(call_by(acme)):  # noqa: ASYNC110 - Redis waits for nobody
            await asyncio.sleep(0.05)


async def leases_end_at(made: Limit) -> float:
    """Return when the first of the leases ends."""
    [key] = [key async for key in redis.client().scan_iter(redis.key("limits", f"{{{made.pk}:*"))]
    [entry] = await redis.client().zrange(key, 0, 0, withscores=True)
    return float(entry[1])


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

    assert error.retry_after == pytest.approx(60, abs=30)
    assert caplog.text.count("llm.limits_away") == 1
