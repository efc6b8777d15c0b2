"""The breaker: when a deployment has a cooldown, who may try it again, what all processes see."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from redis.asyncio import Redis
from structlog.testing import capture_logs

from core import redis
from llm import errors
from llm.health import DeploymentHealth, Refusal, Ticket, breaker
from llm.health.monitor import Monitor

DEPLOYMENT = 77
A_MOMENT = 1.1  # seconds; after it, what was read of Redis is read anew

Processes = tuple[Monitor, Monitor]


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def processes(clock: Clock) -> AsyncIterator[Processes]:
    """Two that know of each other only through Redis, as two processes do."""
    client = redis.client()
    await client.delete(*(await client.keys(redis.key("health", "*")) or [b"none"]))
    both = Monitor(clock), Monitor(clock)
    yield both
    for monitor in both:
        await monitor.close()
    await redis.close()


async def ticket(monitor: Monitor) -> Ticket:
    entry = await monitor.enter(DEPLOYMENT, is_streamed=True)
    assert isinstance(entry, Ticket)
    return entry


async def is_refused(monitor: Monitor) -> bool:
    entry = await monitor.enter(DEPLOYMENT, is_streamed=True)
    if isinstance(entry, Ticket):
        entry.ended(asyncio.CancelledError())
    return isinstance(entry, Refusal)


async def fail(monitor: Monitor, times: int = 1) -> None:
    for _ in range(times):
        (await ticket(monitor)).ended(errors.ServerError("It failed."))


async def succeed(monitor: Monitor, times: int = 1, *, milliseconds: int = 100) -> None:
    for _ in range(times):
        entry = await ticket(monitor)
        entry.spoke(milliseconds)
        entry.ended(None)


async def seen(monitor: Monitor) -> DeploymentHealth:
    """Return what the admin sees, in a thread as it is there."""
    return (await sync_to_async(monitor.snapshot)())[DEPLOYMENT]


async def open_it(monitor: Monitor) -> None:
    await fail(monitor, breaker.FAILURES_IN_A_ROW)


async def wait_for_probe(monitor: Monitor, clock: Clock) -> None:
    """Move on to the end of the cooldown, of which all know by then."""
    clock.advance(A_MOMENT)
    refused = await monitor.enter(DEPLOYMENT, is_streamed=True)
    assert isinstance(refused, Refusal)
    clock.advance(refused.seconds + 0.1)


async def test_failures_in_a_row_open_it(processes: Processes) -> None:
    monitor, _ = processes
    await fail(monitor, breaker.FAILURES_IN_A_ROW - 1)
    assert not await is_refused(monitor)

    with capture_logs() as logs:
        await fail(monitor)

    refused = await monitor.enter(DEPLOYMENT, is_streamed=True)
    assert isinstance(refused, Refusal)
    assert not refused.is_rate_limited
    assert 0.8 * breaker.FIRST_COOLDOWN <= refused.seconds <= 1.2 * breaker.FIRST_COOLDOWN
    assert (await seen(monitor)).state == "open"
    [told] = [entry for entry in logs if entry["event"] == "llm.breaker"]
    assert (told["deployment"], told["from"], told["to"]) == (DEPLOYMENT, "closed", "open")
    assert told["log_level"] == "warning"


async def test_a_success_in_between_begins_the_row_anew(processes: Processes) -> None:
    monitor, _ = processes
    await fail(monitor, breaker.FAILURES_IN_A_ROW - 1)
    await succeed(monitor)
    await fail(monitor, breaker.FAILURES_IN_A_ROW - 1)

    assert not await is_refused(monitor)


async def test_failures_of_long_ago_are_no_row(processes: Processes, clock: Clock) -> None:
    monitor, _ = processes
    await fail(monitor, breaker.FAILURES_IN_A_ROW - 1)
    clock.advance(breaker.WINDOW + 1)
    await fail(monitor)

    assert not await is_refused(monitor)


async def test_a_share_of_failures_opens_it_although_no_process_saw_enough(
    processes: Processes, clock: Clock
) -> None:
    for monitor in processes:
        await fail(monitor, 3)
        await succeed(monitor, 1)
        clock.advance(A_MOMENT)
        assert not await is_refused(monitor)  # tells the other what it has seen
    clock.advance(A_MOMENT)
    here, _ = processes

    await fail(here, 1)  # seven of nine
    assert not await is_refused(here)
    await fail(here, 1)  # eight of ten

    assert await is_refused(here)


async def test_failures_among_many_good_calls_do_not_open_it(processes: Processes) -> None:
    monitor, _ = processes

    for _ in range(10):
        await succeed(monitor, 2)
        await fail(monitor)

    assert not await is_refused(monitor)


async def test_an_opened_breaker_is_seen_by_the_other_process(
    processes: Processes, clock: Clock
) -> None:
    here, there = processes
    assert not await is_refused(there)
    await open_it(here)
    clock.advance(A_MOMENT)
    await is_refused(here)

    assert await is_refused(there)
    assert (await seen(there)).state == "open"


async def test_half_open_lets_one_call_of_all_processes_through(
    processes: Processes, clock: Clock
) -> None:
    here, _ = processes
    await open_it(here)
    await wait_for_probe(here, clock)

    entries = await asyncio.gather(
        *(monitor.enter(DEPLOYMENT, is_streamed=True) for monitor in processes * 10)
    )

    assert sum(isinstance(entry, Ticket) for entry in entries) == 1
    assert (await seen(here)).state == "half_open"


async def test_a_probe_that_works_closes_it_for_all(processes: Processes, clock: Clock) -> None:
    here, there = processes
    await open_it(here)
    await wait_for_probe(here, clock)

    await succeed(there)
    clock.advance(A_MOMENT)
    await is_refused(there)

    assert not await is_refused(here)
    await fail(here)  # the failures from before do not count any more
    clock.advance(A_MOMENT)
    assert not await is_refused(here)
    assert (await seen(here)).calls == 2


async def test_each_probe_that_fails_doubles_the_cooldown(
    processes: Processes, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "JITTER", 0.0)
    monitor, _ = processes
    await open_it(monitor)
    waits = []

    for _ in range(7):
        refused = await monitor.enter(DEPLOYMENT, is_streamed=True)
        assert isinstance(refused, Refusal)
        waits.append(round(refused.seconds))
        clock.advance(refused.seconds + 0.1)
        await fail(monitor)

    assert waits == [5, 10, 20, 40, 80, 120, 120]


async def test_a_probe_that_the_caller_stops_is_given_to_the_next(
    processes: Processes, clock: Clock
) -> None:
    monitor, _ = processes
    await open_it(monitor)
    await wait_for_probe(monitor, clock)

    (await ticket(monitor)).ended(asyncio.CancelledError())

    assert isinstance(await monitor.enter(DEPLOYMENT, is_streamed=True), Ticket)


async def test_an_answer_that_refuses_the_caller_closes_it_too(
    processes: Processes, clock: Clock
) -> None:
    monitor, _ = processes
    await open_it(monitor)
    await wait_for_probe(monitor, clock)

    (await ticket(monitor)).ended(errors.RequestRefused("Your fault."))

    assert (await seen(monitor)).state == "closed"


async def test_a_long_probe_keeps_its_lease_and_a_dead_one_loses_it(
    processes: Processes, clock: Clock
) -> None:
    here, there = processes
    await open_it(here)
    await wait_for_probe(here, clock)
    await ticket(here)

    clock.advance(breaker.LEASE * 0.6)
    await here.enter(1, is_streamed=True)  # its process tells that it lives
    clock.advance(breaker.LEASE * 0.6)

    assert await is_refused(there)
    clock.advance(breaker.LEASE)
    assert isinstance(await there.enter(DEPLOYMENT, is_streamed=True), Ticket)


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


async def test_calls_from_before_the_recovery_do_not_speak_against_it(
    processes: Processes, clock: Clock
) -> None:
    monitor, _ = processes
    stalled = [await ticket(monitor) for _ in range(20)]
    await open_it(monitor)
    await wait_for_probe(monitor, clock)
    await succeed(monitor)

    for entry in stalled:
        entry.ended(errors.TimedOut("At last."))

    assert not await is_refused(monitor)


async def test_staff_can_close_it(processes: Processes, clock: Clock) -> None:
    here, there = processes
    await open_it(here)
    clock.advance(A_MOMENT)
    assert await is_refused(here)
    assert await is_refused(there)

    await sync_to_async(there.reset)(DEPLOYMENT)

    assert not await is_refused(there)
    clock.advance(A_MOMENT)
    assert not await is_refused(here)


async def test_a_probe_that_staff_overtook_decides_nothing(
    processes: Processes, clock: Clock
) -> None:
    here, there = processes
    await open_it(here)
    await wait_for_probe(here, clock)
    probe = await ticket(here)

    await sync_to_async(there.reset)(DEPLOYMENT)
    clock.advance(A_MOMENT)
    others = [await ticket(here), await ticket(here)]
    probe.ended(errors.ServerError("It failed."))

    assert not await is_refused(here)
    for other in others:
        other.ended(None)


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


async def test_nothing_goes_on_when_nothing_happens(processes: Processes) -> None:
    monitor, _ = processes
    before = asyncio.all_tasks()

    await succeed(monitor)
    assert len(asyncio.all_tasks() - before) == 1
    await asyncio.sleep(1)

    assert asyncio.all_tasks() == before
