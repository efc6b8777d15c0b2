"""What tests of the breaker share: two processes, a clock, calls that fail or work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from asgiref.sync import sync_to_async

from core import redis
from llm import errors
from llm.health import DeploymentHealth, Refusal, Ticket, breaker, monitor
from llm.health.monitor import Monitor

DEPLOYMENT = 990_077  # no row has this number


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


@asynccontextmanager
async def two_processes(clock: Clock) -> AsyncIterator[Processes]:
    """Give two that know of each other only through Redis, and only when the clock moves."""
    client = redis.client()
    await client.delete(*(await client.keys(redis.key("health", "*")) or [b"none"]))
    both = Monitor(clock), Monitor(clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor, "INTERVAL", 3600)  # nothing happens at a time of its own
        yield both
        for one in both:
            await one.close()
    await redis.close()
