"""The breaker: when a deployment has a cooldown, and who may try it again."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async
from structlog.testing import capture_logs

from llm import errors
from llm.health import Refusal, Ticket, breaker
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


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def processes(clock: Clock) -> AsyncIterator[Processes]:
    async with two_processes(clock) as both:
        yield both


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
