"""Batches that the worker runs: taken by a lease, cancelled, left and taken over."""

import asyncio
import io
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from accounts.models import Membership, Organization, User
from billing import books
from billing.models import UsageRecord, UsageState
from gateway.batches import leases, services, work
from gateway.batches.services import BatchNotReady
from gateway.models import Batch, BatchLine, BatchState
from tests.batch_support import MODEL, jsonl, line
from tests.llm_support import MARKS
from tests.servers import environment
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS

PATIENCE = 120  # seconds; nobody waits so long but where something is broken


def make(acme: Organization, count: int, **fields: object) -> Batch:
    batch = Batch(name="Test", organization=acme, **fields)
    return services.create(batch, io.BytesIO(jsonl(*map(line, range(count)))))


async def amake(acme: Organization, count: int, **fields: object) -> Batch:
    return await sync_to_async(make)(acme, count, **fields)


@asynccontextmanager
async def worker() -> AsyncGenerator[None, None]:
    """Have a worker while the block runs."""
    stop = asyncio.Event()
    task = asyncio.create_task(work.work(stop))
    yield
    stop.set()
    await task


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - what another thread or process does
            await asyncio.sleep(0.02)


async def state_of(batch: Batch) -> str:
    await batch.arefresh_from_db()
    return batch.state


async def text_of(batch: Batch) -> str:
    return b"".join([part async for part in services.results(batch)]).decode()


async def done(batch: Batch) -> int:
    return await BatchLine.objects.filter(batch=batch, status_code__isnull=False).acount()


async def test_a_batch_is_run_to_its_end(acme: Organization, vendor: FakeVendor) -> None:
    await vendor.aserve(MODEL)
    refused = Answer(status=400, error={"message": "No.", "code": "nope"})
    vendor.script(Answer(), refused, Answer())
    batch = await amake(acme, 45, concurrency=1)

    async with worker():
        await until(lambda: is_in(batch, BatchState.FINISHED))

    results = [json.loads(text) for text in (await text_of(batch)).splitlines()]
    assert [one["custom_id"] for one in results] == [f"c{number}" for number in range(45)]
    statuses = [one["response"]["status_code"] for one in results]
    assert statuses == [200, 400] + [200] * 43
    assert batch.started_at is not None
    assert batch.finished_at is not None
    assert (batch.lease_holder, batch.lease_expires_at) == (None, None)
    records = [row async for row in UsageRecord.objects.all()]
    assert {row.surface for row in records} == {"batch"}
    assert {row.request_id for row in records} == {
        f"{batch.run_name}{number}" for number in range(1, 46)
    }


async def is_in(batch: Batch, state: str) -> bool:
    return await state_of(batch) == state


async def test_a_cancelled_batch_stops_what_runs(acme: Organization, vendor: FakeVendor) -> None:
    await vendor.aserve(MODEL)
    vendor.script(Answer(fault="stall"))
    batch = await amake(acme, 5, concurrency=2)

    async with worker():
        await until(lambda: asyncio.sleep(0, len(vendor.requests) == 2))
        await sync_to_async(services.cancel)(batch)
        await until(lambda: asyncio.sleep(0, vendor.cancelled == 2))
        await until(lambda: is_free(batch))

    assert await state_of(batch) == BatchState.CANCELLED
    assert await done(batch) == 0
    outcomes = [row.outcome async for row in UsageRecord.objects.all()]
    assert outcomes == ["stopped", "stopped"]
    with pytest.raises(BatchNotReady):
        await sync_to_async(services.cancel)(batch)


async def is_free(batch: Batch) -> bool:
    await batch.arefresh_from_db()
    return batch.lease_holder is None


async def test_what_failed_and_what_was_left_is_asked_again(
    acme: Organization, vendor: FakeVendor
) -> None:
    await vendor.aserve(MODEL)
    vendor.script(Answer(status=400, error={"message": "No.", "code": "nope"}), Answer())
    batch = await amake(acme, 3, concurrency=1)
    with pytest.raises(BatchNotReady):
        await sync_to_async(services.retry_failed)(batch)
    async with worker():
        await until(lambda: is_in(batch, BatchState.FINISHED))

    assert await sync_to_async(services.retry_failed)(batch) == 1
    async with worker():
        await until(lambda: is_in(batch, BatchState.FINISHED))

    assert len(vendor.requests) == 4
    assert '"status_code":400' not in await text_of(batch)
    assert await sync_to_async(services.retry_failed)(batch) == 0
    assert await state_of(batch) == BatchState.FINISHED


async def test_a_worker_that_ends_leaves_its_batch_to_others_at_once(
    acme: Organization, vendor: FakeVendor
) -> None:
    await vendor.aserve(MODEL)
    vendor.script(Answer(), Answer(fault="stall"))
    batch = await amake(acme, 2, concurrency=1)
    async with worker():
        await until(lambda: asyncio.sleep(0, len(vendor.requests) == 2))
    assert await is_free(batch)
    assert batch.state == BatchState.RUNNING
    vendor.script(Answer())

    async with worker():
        await until(lambda: is_in(batch, BatchState.FINISHED))

    assert len(vendor.requests) == 3  # the finished line was not asked again


def test_only_one_worker_has_a_batch(acme: Organization) -> None:
    batch = make(acme, 1)
    mine, theirs = uuid4(), uuid4()

    assert leases.claim(mine) == batch
    assert leases.claim(theirs) is None
    assert leases.renew(batch, mine)
    assert not leases.renew(batch, theirs)

    Batch.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert leases.claim(theirs) == batch
    assert not leases.renew(batch, mine)
    leases.release(batch, mine)  # too late to have a say
    assert leases.renew(batch, theirs)


async def test_the_many_batches_of_one_organization_let_anothers_through(
    acme: Organization, vendor: FakeVendor
) -> None:
    await vendor.aserve(MODEL)
    gate = Gate()
    vendor.script(Answer(gate=gate))
    many = [await amake(acme, 1) for _ in range(work.MOST_OF_ONE + 1)]
    other = await Organization.objects.acreate(name="Other", slug="other")
    theirs = await amake(other, 1)

    async with worker():
        await until(lambda: is_in(theirs, BatchState.RUNNING))
        last = await state_of(many[-1])
        gate.open()
        await until(lambda: is_in(many[-1], BatchState.FINISHED))

    assert last == BatchState.WAITING


def test_nobody_asks_for_those_who_may_not(acme: Organization) -> None:
    ada = User.objects.create_user("ada")
    Membership.objects.create(user=ada, organization=acme)
    batch, holder = make(acme, 1, user=ada), uuid4()
    assert leases.claim(holder) == batch

    for model in (User, Organization):
        model.objects.update(is_active=False)
        assert not leases.renew(batch, holder)
        model.objects.update(is_active=True)
        assert leases.renew(batch, holder)
    Membership.objects.all().delete()

    assert not leases.renew(batch, holder)


async def test_a_short_batch_does_not_wait_for_a_long_one(
    acme: Organization, vendor: FakeVendor
) -> None:
    await vendor.aserve(MODEL)
    vendor.script(Answer(fault="stall"), Answer())
    long = await amake(acme, 1)

    async with worker():
        await until(lambda: asyncio.sleep(0, len(vendor.requests) == 1))
        short = await amake(acme, 1)
        await until(lambda: is_in(short, BatchState.FINISHED))
        assert await state_of(long) == BatchState.RUNNING


@pytest.mark.processes
def test_another_worker_goes_on_when_one_is_killed(acme: Organization, vendor: FakeVendor) -> None:
    vendor.serve(MODEL)
    gate = Gate()
    vendor.script(*[Answer()] * 5, Answer(gate=gate))
    batch = make(acme, 20, concurrency=2)

    def start() -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=settings.BASE_DIR,
            env=environment(PARLEY_LEASE_SECONDS="2"),
        )

    def count() -> int:
        return BatchLine.objects.filter(batch=batch, status_code=200).count()

    first = start()
    wait_for(lambda: count() == 5 and len(vendor.requests) == 7)
    first.kill()
    first.wait()
    gate.open()
    kept = set(BatchLine.objects.exclude(result=None).values_list("custom_id", "result"))
    second = start()
    wait_for(lambda: Batch.objects.get().state == BatchState.FINISHED)
    wait_for(lambda: not UsageRecord.objects.filter(state=UsageState.STARTED).exists())
    second.terminate()

    assert second.wait(PATIENCE) == 0
    lines = set(BatchLine.objects.values_list("custom_id", "result"))
    assert len(lines) == count() == 20
    assert kept <= lines
    assert books.differences() == []


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
