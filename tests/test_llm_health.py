"""What speaks for and against a deployment, and what all processes see of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from redis.asyncio import Redis

from core import redis
from llm import errors
from llm.health import Refusal, Ticket, breaker
from llm.health.monitor import Monitor
from tests.health_support import (
    A_MOMENT,
    DEPLOYMENT,
    Clock,
    Processes,
    fail,
    is_refused,
    open_it,
    seen,
    succeed,
    ticket,
    two_processes,
    wait_for_probe,
)
from tests.llm_support import eventually


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def processes(clock: Clock) -> AsyncIterator[Processes]:
    async with two_processes(clock) as both:
        yield both


@pytest.mark.parametrize(
    "error",
    [
        errors.RequestRefused("no"),
        errors.ContextTooLong("no"),
        errors.ContentFiltered("no"),
        errors.AuthenticationFailed("no"),
        errors.ProviderPermissionDenied("no"),
        errors.ModelMissing("no"),
        errors.RateLimited("no"),
        asyncio.CancelledError(),
        GeneratorExit(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_is_no_outage_does_not_count(processes: Processes, error: BaseException) -> None:
    monitor, _ = processes

    for _ in range(20):
        (await ticket(monitor)).ended(error)

    assert not await is_refused(monitor)
    assert (await seen(monitor)).calls == 0


@pytest.mark.parametrize(
    "kind",
    [
        errors.ServerError,
        errors.TimedOut,
        errors.ConnectionFailed,
        errors.Overloaded,
        errors.MalformedAnswer,
    ],
)
async def test_outages_count(processes: Processes, kind: type[errors.ProviderError]) -> None:
    monitor, _ = processes

    for _ in range(breaker.FAILURES_IN_A_ROW):
        (await ticket(monitor)).ended(kind("It failed."))

    assert await is_refused(monitor)


async def test_whole_answers_that_took_too_long_open_nothing(processes: Processes) -> None:
    """Whoever asks for long ones could otherwise keep a deployment from all others."""
    here, _ = processes
    for _ in range(20):
        entry = await here.enter(DEPLOYMENT, is_streamed=False)
        assert isinstance(entry, Ticket)
        entry.ended(errors.TimedOut("It took too long."))

    assert not await is_refused(here)


async def test_an_answer_that_breaks_off_is_one_call_and_one_failure(
    processes: Processes, clock: Clock
) -> None:
    monitor, _ = processes
    entry = await ticket(monitor)
    entry.spoke(10)
    entry.ended(errors.ConnectionFailed("It broke off."))
    clock.advance(A_MOMENT)
    await is_refused(monitor)

    health = await seen(monitor)

    assert (health.calls, health.error_rate) == (1, 1.0)


async def test_who_limits_the_rate_is_passed_over_by_all_until_then(
    processes: Processes, clock: Clock
) -> None:
    here, there = processes
    (await ticket(here)).ended(errors.RateLimited("Slowly.", retry_after=7))

    for monitor in processes:
        clock.advance(A_MOMENT)
        refused = await monitor.enter(DEPLOYMENT, is_streamed=True)
        assert isinstance(refused, Refusal)
        assert refused.is_rate_limited
        assert refused.seconds < 7
    clock.advance(6)

    assert not await is_refused(here)
    assert not await is_refused(there)


async def test_without_redis_each_process_decides_for_itself(
    processes: Processes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = processes
    nobody = Redis.from_url("redis://127.0.0.1:1/0")
    monkeypatch.setattr(redis, "client", lambda: nobody)

    await open_it(here)

    assert await is_refused(here)
    assert not await is_refused(there)
    await wait_for_probe(here, clock)
    probe = await ticket(here)
    assert await is_refused(here)
    probe.spoke(100)
    assert not await is_refused(here)
    await nobody.aclose()


async def test_what_was_seen_without_redis_is_told_when_it_is_back(
    processes: Processes, clock: Clock
) -> None:
    here, there = processes
    nobody = Redis.from_url("redis://127.0.0.1:1/0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis, "client", lambda: nobody)
        patch.setattr("core.outage.PAUSE", 0.0)
        await open_it(here)
    clock.advance(A_MOMENT)
    await here.enter(1, is_streamed=True)

    assert (await seen(there)).state in ("open", "half_open")
    await nobody.aclose()


async def test_a_cooldown_that_could_not_be_told_is_told_when_redis_is_back(
    processes: Processes, clock: Clock
) -> None:
    here, there = processes
    nobody = Redis.from_url("redis://127.0.0.1:1/0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis, "client", lambda: nobody)
        patch.setattr("core.outage.PAUSE", 0.0)
        (await ticket(here)).ended(errors.RateLimited("Slowly.", retry_after=30))
        clock.advance(A_MOMENT)
        await here.enter(1, is_streamed=True)
    clock.advance(A_MOMENT)
    await here.enter(1, is_streamed=True)

    assert await is_refused(there)
    await nobody.aclose()


async def test_figures_are_of_all_processes(processes: Processes, clock: Clock) -> None:
    here, there = processes
    await succeed(here, 50, milliseconds=200)
    await succeed(there, 45, milliseconds=400)
    await fail(there, 4)
    running = [await ticket(there) for _ in range(3)]
    clock.advance(A_MOMENT)
    await here.enter(1, is_streamed=True)
    await there.enter(1, is_streamed=True)
    clock.advance(A_MOMENT)

    health = await seen(here)

    assert (health.calls, health.running) == (99, 3)
    assert health.error_rate == pytest.approx(4 / 99)
    assert health.p50_ttft_ms == pytest.approx(200, rel=0.1)
    assert health.p95_ttft_ms == pytest.approx(400, rel=0.1)
    clock.advance(301)
    for entry in running:
        entry.ended(None)
    assert DEPLOYMENT not in await sync_to_async(Monitor(clock).snapshot)()


async def test_a_few_calls_say_nothing_of_what_is_usual(processes: Processes, clock: Clock) -> None:
    monitor, _ = processes
    await succeed(monitor, 19, milliseconds=200)
    clock.advance(A_MOMENT)
    await is_refused(monitor)
    assert monitor.usual_wait(DEPLOYMENT, is_streamed=True) is None

    await succeed(monitor, 1, milliseconds=200)
    clock.advance(A_MOMENT)
    await is_refused(monitor)

    assert monitor.usual_wait(DEPLOYMENT, is_streamed=True) == pytest.approx(0.2, rel=0.1)
    assert monitor.usual_wait(DEPLOYMENT, is_streamed=False) is None


async def test_nothing_goes_on_when_nothing_happens(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm.health.monitor.INTERVAL", 0.01)
    monitor, _ = processes
    before = asyncio.all_tasks()

    await succeed(monitor)
    assert len(asyncio.all_tasks() - before) == 1

    await eventually(lambda: asyncio.all_tasks() == before)
