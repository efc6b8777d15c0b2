"""Calls that are the same at the same time: made once, whoever leaves, fails or dies."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from msgspec.structs import replace

from accounts.models import Organization
from billing.models import Budget
from core import redis
from core.errors import AppError
from core.outage import Outage
from llm import service
from llm.caching import redis_outage
from llm.errors import ConnectionFailed, RequestRefused, ServerError
from llm.types import Call, Event, Started
from tests.llm_support import MARKS, ask, call_by, collect, eventually, recorded, text_of
from tests.servers import environment
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

QUESTION = ask(temperature=0.0)
SLOW = Answer(text="one two three four five six seven eight", pause=0.03)
NEVER = -1  # how Redis says that a key does not expire


async def elsewhere(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` on an event loop of its own: what belongs to a loop, it shares with nobody."""

    async def run() -> Any:
        try:
            return await work
        finally:
            await service.close()
            await redis.close()

    result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    loop = result.get_loop()

    def target() -> None:
        try:
            loop.call_soon_threadsafe(result.set_result, asyncio.run(run()))
        except BaseException as error:
            loop.call_soon_threadsafe(result.set_exception, error)

    threading.Thread(target=target, daemon=True).start()
    return await result


def is_shared(events: list[Event]) -> bool:
    started = events[0]
    assert isinstance(started, Started)
    return started.is_shared and started.is_cache_hit


@pytest.mark.parametrize("stream", [True, False])
async def test_the_same_calls_at_the_same_time_are_made_once(
    vendor: FakeVendor, call: Call, stream: bool
) -> None:
    await vendor.aserve()
    vendor.script(SLOW)
    question = replace(QUESTION, stream=stream)

    answers = await asyncio.gather(*(collect(question, call) for _ in range(5)))

    assert len(vendor.requests) == 1
    assert {text_of(answer) for answer in answers} == {SLOW.text}
    assert [is_shared(answer) for answer in answers].count(False) == 1
    rows = await recorded()
    assert sorted(row.is_cache_hit for row in rows) == [False, True, True, True, True]
    assert sum(row.cost_usd > 0 for row in rows if row.cost_usd is not None) == 1
    assert {(row.outcome, row.output_tokens) for row in rows} == {("success", 5)}


async def test_other_calls_are_made_each(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(SLOW)
    other = call_by(await Organization.objects.acreate(name="Other", slug="other"))
    calls = [
        collect(QUESTION, call),
        collect(QUESTION, other),
        collect(replace(QUESTION, seed=1), call),
        collect(replace(QUESTION, temperature=0.7), call),
        collect(replace(QUESTION, temperature=0.7), call),
    ]

    await asyncio.gather(*calls)

    assert len(vendor.requests) == 5


async def test_who_comes_later_sees_the_beginning_at_once(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(SLOW)
    async with aclosing(service.stream(QUESTION, call)) as first:
        while text_of([await anext(first)]).strip() != "four":
            continue

        async with aclosing(service.stream(QUESTION, call)) as second:
            started, delta = await anext(second), await anext(second)

    assert isinstance(started, Started)
    assert started.is_shared
    assert text_of([delta]).startswith("one two three four")  # a slow machine is at "five" by now
    assert len(vendor.requests) == 1


async def test_two_processes_share_a_call_and_see_its_words_as_they_come(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="word " * 40 + "end", pause=0.02))

    answers = await asyncio.gather(
        *(elsewhere(collect(QUESTION, call)) for _ in range(2)), collect(QUESTION, call)
    )

    assert len(vendor.requests) == 1
    assert {text_of(answer) for answer in answers} == {"word " * 40 + "end"}
    assert [is_shared(answer) for answer in answers].count(False) == 1
    for answer in answers:
        assert len(answer) > 7, "the words came in one piece"
    rows = await recorded()
    assert sum(row.is_cache_hit for row in rows) == 2


async def test_the_payer_may_leave_and_the_call_goes_on_for_the_others(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(SLOW)
    async with aclosing(service.stream(QUESTION, call)) as first:
        await anext(first)
        others = [asyncio.create_task(collect(QUESTION, call)) for _ in range(2)]
        await asyncio.sleep(0.05)

    assert [text_of(await other) for other in others] == [SLOW.text] * 2
    assert len(vendor.requests) == 1
    assert vendor.cancelled == 0
    rows = await recorded()
    assert [(row.outcome, row.cost_usd != 0) for row in rows if not row.is_cache_hit] == [
        ("success", True)
    ]


async def test_the_payer_may_leave_although_only_another_process_waits(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="word " * 30 + "end", pause=0.03))
    async with aclosing(service.stream(QUESTION, call)) as first:
        await anext(first)
        other = asyncio.create_task(elsewhere(collect(QUESTION, call)))
        await asyncio.sleep(0.3)

    assert text_of(await other) == "word " * 30 + "end"
    assert len(vendor.requests) == 1


async def test_a_call_that_nobody_waits_for_any_more_is_stopped_and_settled(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(SLOW)
    async with aclosing(service.stream(QUESTION, call)) as first:
        await anext(first)
        async with aclosing(service.stream(QUESTION, call)) as second:
            await anext(second)
            await anext(second)

    await eventually(lambda: vendor.cancelled == 1)
    rows = await recorded()
    assert sorted((row.outcome, row.is_cache_hit, row.state) for row in rows) == [
        ("stopped", False, "settled"),
        ("stopped", True, "settled"),
    ]
    assert text_of(await collect(QUESTION, call)) == SLOW.text  # nothing stands in its way


async def test_when_a_call_fails_early_one_of_the_others_makes_it(
    vendor: FakeVendor, call: Call, no_retries: None
) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=500), SLOW)

    results = await asyncio.gather(
        *(collect(QUESTION, call) for _ in range(4)), return_exceptions=True
    )

    assert len(vendor.requests) == 2
    answered = [result for result in results if not isinstance(result, BaseException)]
    assert [text_of(answer) for answer in answered] == [SLOW.text] * 3
    assert [is_shared(answer) for answer in answered].count(False) == 1
    assert [type(result) for result in results if isinstance(result, BaseException)] == [
        ServerError
    ]


@pytest.mark.parametrize(
    ("status", "requests", "error"), [(500, 2, ServerError), (422, 1, RequestRefused)]
)
async def test_a_failing_vendor_is_not_asked_for_each_who_waits(
    vendor: FakeVendor,
    call: Call,
    no_retries: None,
    status: int,
    requests: int,
    error: type[Exception],
) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=status, pause=0.05))
    other = asyncio.create_task(elsewhere(collect(QUESTION, call)))

    results = await asyncio.gather(
        *(collect(QUESTION, call) for _ in range(6)), other, return_exceptions=True
    )

    assert {type(result) for result in results} == {error}
    assert len(vendor.requests) <= requests + 1  # the other process may have come too late


async def test_a_budget_refuses_its_own_caller_only(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(max_output_tokens=1000)
    vendor.script(SLOW)
    organization_id = call.principal.organization_id
    poor = replace(call, principal=await _member(organization_id, "poor"))
    await Budget.objects.acreate(
        organization_id=organization_id,
        user_id=poor.principal.user_id,
        name="None left",
        limit_usd="0",
    )

    results = await asyncio.gather(
        collect(QUESTION, poor), collect(QUESTION, call), return_exceptions=True
    )

    assert isinstance(results[0], AppError)
    assert results[0].code == "budget_exceeded"
    assert not isinstance(results[1], BaseException)
    assert text_of(results[1]) == SLOW.text


async def test_an_answer_that_breaks_off_breaks_off_for_all(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="word " * 40, pause=0.03, fault="close", after=20))
    other = asyncio.create_task(elsewhere(collect(QUESTION, call)))

    results = await asyncio.gather(
        *(collect(QUESTION, call) for _ in range(2)), other, return_exceptions=True
    )

    assert {type(result) for result in results} == {ConnectionFailed}
    assert len(vendor.requests) == 1
    rows = await recorded()
    assert {(row.outcome, row.error_class) for row in rows} == {("failed", "ConnectionFailed")}


@pytest.mark.processes
async def test_when_the_process_that_makes_a_call_dies_exactly_one_takes_over(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(fault="stall"), SLOW)
    async with worker(call) as process:
        await has_asked(vendor)
        waiting = [
            asyncio.create_task(elsewhere(collect(QUESTION, call))),
            *(asyncio.create_task(collect(QUESTION, call)) for _ in range(3)),
        ]
        await asyncio.sleep(0.3)
        os.kill(process.pid, signal.SIGKILL)

        answers = await asyncio.gather(*waiting)

    assert len(vendor.requests) == 2
    assert [text_of(answer) for answer in answers] == [SLOW.text] * 4
    assert [is_shared(answer) for answer in answers].count(False) == 1


@pytest.mark.processes
async def test_when_the_process_dies_in_the_middle_nobody_takes_the_part_for_the_whole(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="word " * 400, pause=0.02))
    async with worker(call) as process:
        assert await said(process) == "started own"
        async with aclosing(service.stream(QUESTION, call)) as events:
            started, delta = await anext(events), await anext(events)
            os.kill(process.pid, signal.SIGKILL)
            with pytest.raises(ConnectionFailed, match="broke off"):
                rest = [event async for event in events]  # noqa: F841 - it does not come to that

    assert isinstance(started, Started)
    assert started.is_shared
    assert text_of([delta]).startswith("word")
    client = redis.client()
    async for name in client.scan_iter(match=redis.key("answer", "*:stream*"), count=1000):
        assert await client.ttl(name) != NEVER, f"{name!r} stays in Redis for ever"


async def test_without_redis_each_process_makes_its_own_call(
    vendor: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_outage, "outage", Outage("llm.cache"))
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    await vendor.aserve()
    vendor.script(SLOW)

    answers = await asyncio.gather(
        elsewhere(collect(QUESTION, call)), *(collect(QUESTION, call) for _ in range(3))
    )

    assert len(vendor.requests) == 2
    assert {text_of(answer) for answer in answers} == {SLOW.text}


@pytest.fixture
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each call be one request."""
    from llm import attempts

    monkeypatch.setattr(attempts, "POLICY", attempts.Policy(retries=0, first_content=5.0))


async def _member(organization_id: int, name: str) -> Any:
    from accounts.models import Membership, User
    from accounts.principal import Principal

    user = await User.objects.acreate(username=name)
    await Membership.objects.acreate(user=user, organization_id=organization_id)
    return Principal(organization_id=organization_id, user_id=user.pk, user_name=name)


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


async def has_asked(vendor: FakeVendor) -> None:
    """Wait until the other process has started and asked."""
    async with asyncio.timeout(30):
        while not vendor.requests:  # noqa: ASYNC110 - the other process knows nothing of our events
            await asyncio.sleep(0.02)


async def said(process: asyncio.subprocess.Process) -> str:
    """Return the next line that the other process says."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    return line.decode().strip()
