"""The same calls in several processes: made once, also when their process dies or Redis is away."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings

from core import redis
from core.outage import Outage
from llm import service
from llm.caching import commands, redis_outage
from llm.errors import ConnectionFailed, RequestRefused, ServerError
from llm.types import Call, Started
from tests.flights_support import (
    QUESTION,
    TEXT,
    Reader,
    all_have_read,
    are_waiting,
    elsewhere,
    held,
    is_shared,
    is_wanted_elsewhere,
)
from tests.llm_support import MARKS, PATIENCE, collect, eventually, recorded, text_of
from tests.servers import environment
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS

NEVER = -1  # how Redis says that a key does not expire


@pytest.fixture(autouse=True)
def no_stall_is_a_death(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process hold its calls, and be waited for, however slow the machine is."""
    monkeypatch.setattr(commands, "LEASE", PATIENCE)
    monkeypatch.setattr(commands, "WANTED", PATIENCE)


async def test_two_processes_share_a_call_and_see_its_words_as_they_come(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(held(gate, after=4))
    readers = [Reader() for _ in range(3)]
    here, *others = readers

    reading = [
        *(asyncio.create_task(elsewhere(reader.read(call))) for reader in others),
        asyncio.create_task(here.read(call)),
    ]
    await all_have_read(readers, "one two three four")
    gate.open()
    answers = await asyncio.gather(*reading)

    assert len(vendor.requests) == 1
    assert {text_of(answer) for answer in answers} == {TEXT}
    assert [is_shared(answer) for answer in answers].count(False) == 1
    rows = await recorded()
    assert sum(row.is_cache_hit for row in rows) == 2


async def test_the_payer_may_leave_although_only_another_process_waits(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(held(gate))
    async with aclosing(service.stream(QUESTION, call)) as first:
        await anext(first)
        other = asyncio.create_task(elsewhere(collect(QUESTION, call)))
        await is_wanted_elsewhere()
    gate.open()

    assert text_of(await other) == TEXT
    assert len(vendor.requests) == 1


@pytest.mark.usefixtures("no_retries")
@pytest.mark.parametrize(
    ("status", "requests", "error"), [(500, 2, ServerError), (422, 1, RequestRefused)]
)
async def test_a_failing_vendor_is_not_asked_for_each_who_waits(
    vendor: FakeVendor, call: Call, status: int, requests: int, error: type[Exception]
) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(Answer(status=status, gate=gate))

    asking = await asked_here_and_elsewhere(vendor, call, here=6)
    gate.open()
    results = await asyncio.gather(*asking, return_exceptions=True)

    assert {type(result) for result in results} == {error}
    assert len(vendor.requests) == requests


async def test_an_answer_that_breaks_off_breaks_off_for_all(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(replace(held(gate), fault="close", after=4))

    asking = await asked_here_and_elsewhere(vendor, call, here=2)
    gate.open()
    results = await asyncio.gather(*asking, return_exceptions=True)

    assert {type(result) for result in results} == {ConnectionFailed}
    assert len(vendor.requests) == 1
    rows = await recorded()
    assert {(row.outcome, row.error_class) for row in rows} == {("failed", "ConnectionFailed")}


@pytest.mark.processes
async def test_when_the_process_that_makes_a_call_dies_exactly_one_takes_over(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(Answer(fault="stall"), held(gate))
    readers = [Reader() for _ in range(4)]
    other, *here = readers
    async with worker(call) as process:
        await eventually(lambda: bool(vendor.requests))
        waiting = [
            asyncio.create_task(elsewhere(other.read(call))),
            *(asyncio.create_task(reader.read(call)) for reader in here),
        ]
        await are_waiting(3)
        os.kill(process.pid, signal.SIGKILL)
        await all_have_read(readers, "one")
        gate.open()

        answers = await asyncio.gather(*waiting)

    assert len(vendor.requests) == 2
    assert [text_of(answer) for answer in answers] == [TEXT] * 4
    assert [is_shared(answer) for answer in answers].count(False) == 1


@pytest.mark.processes
async def test_when_the_process_dies_in_the_middle_nobody_takes_the_part_for_the_whole(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(held(Gate()))
    async with worker(call) as process:
        assert await said(process) == "started own"
        async with aclosing(service.stream(QUESTION, call)) as events:
            started, delta = await anext(events), await anext(events)
            os.kill(process.pid, signal.SIGKILL)
            with pytest.raises(ConnectionFailed, match="broke off"):
                rest = [event async for event in events]  # noqa: F841 - it does not come to that

    assert isinstance(started, Started)
    assert started.is_shared
    assert text_of([delta]) == "one"
    client = redis.client()
    async for name in client.scan_iter(match=redis.key("answer", "*:stream*"), count=1000):
        assert await client.ttl(name) != NEVER, f"{name!r} stays in Redis for ever"


async def test_without_redis_each_process_makes_its_own_call(
    vendor: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_outage, "outage", Outage("llm.cache"))
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    await vendor.aserve()
    gate = Gate()
    vendor.script(held(gate))
    readers = [Reader() for _ in range(4)]
    other, *here = readers

    reading = [
        asyncio.create_task(elsewhere(other.read(call))),
        *(asyncio.create_task(reader.read(call)) for reader in here),
    ]
    await all_have_read(readers, "one")
    gate.open()
    answers = await asyncio.gather(*reading)

    assert len(vendor.requests) == 2
    assert {text_of(answer) for answer in answers} == {TEXT}


async def asked_here_and_elsewhere(
    vendor: FakeVendor, call: Call, *, here: int
) -> "list[asyncio.Task[object]]":
    """Return callers who wait for a call that this process makes, one of them in another one."""
    asking = [asyncio.create_task(collect(QUESTION, call)) for _ in range(here)]
    await are_waiting(here)
    await eventually(lambda: bool(vendor.requests))
    other = asyncio.create_task(elsewhere(collect(QUESTION, call)))
    await is_wanted_elsewhere()
    return [*asking, other]


@asynccontextmanager
async def worker(call: Call) -> AsyncIterator[asyncio.subprocess.Process]:
    """Have another process ask the question of these tests."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.llm_cache_worker"),
        *(str(call.principal.organization_id), "Hello?"),
        cwd=settings.BASE_DIR,
        env=await sync_to_async(environment)(),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> str:
    """Return the next line that the other process says."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    return line.decode().strip()
