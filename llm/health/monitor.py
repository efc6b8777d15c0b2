"""Watches the deployments for one process, and exchanges what it sees with the others."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import msgspec
import structlog
from django_redis import get_redis_connection
from redis.asyncio import Redis

from core.outage import AWAY, Outage, RedisAway
from core.repeating import Repeating
from llm.health import breaker, shared
from llm.health.figures import DeploymentHealth, percentile
from llm.health.shared import Change, Kind, Report, Shared
from llm.health.ticket import Ticket
from llm.health.watch import Watch

logger = structlog.get_logger(__name__)

INTERVAL = 0.4  # seconds between two looks at Redis, while there is something to tell
MAX_AGE = 1.0  # seconds; what is older is read anew before it is relied upon
TELL_RUNNING = 2.0  # seconds, where nothing but long calls goes on
ENOUGH = 20  # calls; of fewer, a 95th percentile says little

FAILURES = (*AWAY, msgspec.DecodeError)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A deployment may not be called for so many seconds."""

    seconds: float
    is_rate_limited: bool  # because its vendor limits the rate; else its breaker is open


class Monitor:
    """All deployments, as seen from one process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._process = uuid4().hex[:12]
        self._watches: dict[int, Watch] = {}
        self._shared = Shared()
        self._read_at = 0.0
        self._outage = Outage("llm.health", failures=FAILURES)
        self._has_news = False
        self._exchanging: asyncio.Task[None] | None = None
        self._flushing = Repeating(self._flush, seconds=INTERVAL)

    async def enter(self, deployment_id: int, *, is_streamed: bool) -> Ticket | Refusal:
        """Return leave to call the deployment now, or for how long there is none."""
        now = self._clock()
        if now - self._read_at > MAX_AGE and not self._outage.is_paused:
            await self._exchange()
        watch = self._watch(deployment_id)
        if watch.cooldown_until > now:
            return Refusal(watch.cooldown_until - now, is_rate_limited=True)
        if watch.record is not None and not await self._may_probe(watch, now):
            seconds = watch.record.until - now if watch.record else 0.0
            return Refusal(max(1.0, seconds), is_rate_limited=False)
        self._tell_soon()
        kind: Kind = "s" if is_streamed else "w"
        return Ticket(watch, kind, self._clock, self._tell_soon)

    def is_open(self, deployment_id: int) -> bool:
        """Return whether the deployment's breaker keeps calls away, as far as is known here."""
        watch = self._watches.get(deployment_id)
        return watch is not None and watch.record is not None

    def snapshot(self) -> dict[int, DeploymentHealth]:
        """Return how every deployment is doing that was called lately."""
        known = self._shared
        now = self._clock()
        if now - self._read_at > MAX_AGE and not self._outage.is_paused:
            known = self._look(now)
        ids = {*known.breakers, *known.windows, *known.running, *known.usual, *self._watches}
        return {deployment_id: self._health(deployment_id, known) for deployment_id in ids}

    def usual_wait(self, deployment_id: int, *, is_streamed: bool) -> float | None:
        """Return the seconds within which 95% of the last calls spoke; `None`: too few to say."""
        times = self._shared.first.get((deployment_id, "s" if is_streamed else "w"))
        if times is None or times.total() < ENOUGH:
            return None
        milliseconds = percentile(times, 0.95)
        return None if milliseconds is None else milliseconds / 1000

    def reset(self, deployment_id: int) -> None:
        """Close the deployment's breaker for all processes; call it from a thread."""
        watch = self._watches.get(deployment_id)
        if watch is not None:
            watch.reset()
        pipeline = get_redis_connection("default").pipeline(transaction=False)
        shared.forget(pipeline, deployment_id, self._clock())
        try:
            pipeline.execute()
        except FAILURES as error:
            self._outage.began(error)

    async def close(self) -> None:
        """Tell the others what is left to tell."""
        await self._flushing.stop()
        if self._has_news:
            await self._exchange()

    def _watch(self, deployment_id: int) -> Watch:
        watch = self._watches.get(deployment_id)
        if watch is None:
            watch = self._watches[deployment_id] = Watch(deployment_id)
            watch.told(self._shared)
        return watch

    async def _may_probe(self, watch: Watch, now: float) -> bool:
        """Return whether this call is the one that tries the deployment, or its breaker closed."""
        record = watch.record
        if record is None or record.until > now or watch.is_probed:
            return record is None
        watch.is_probed = True  # from here on no other call of this process asks
        after = breaker.probed(record, now)
        try:
            watch.is_probed = await self._make(watch.deployment_id, watch.change_to(after))
        except asyncio.CancelledError:
            watch.is_probed = False
            raise
        if watch.is_probed:
            watch.changed(after)
            return True
        await self._exchange()  # another process was first; it may even have its answer
        return watch.record is None

    async def _make(self, deployment_id: int, change: Change) -> bool:
        """Make a change for all processes; where Redis is away, each process decides alone."""

        async def make(client: Redis) -> bool:
            pipeline = client.pipeline(transaction=False)
            shared.queue_change(pipeline, deployment_id, change)
            [is_made] = await pipeline.execute()
            return bool(is_made)

        try:
            return await self._outage.ask(make)
        except RedisAway:
            return True

    def _tell_soon(self) -> None:
        """See to it that what is new is told to the other processes soon."""
        self._has_news = True
        self._flushing.begin()

    async def _flush(self) -> bool:
        """Exchange news and say now and then that calls are running; return whether to go on."""
        if self._outage.is_paused:
            return True
        is_running = any(watch.running for watch in self._watches.values())
        is_old = self._clock() - self._read_at > TELL_RUNNING
        if self._has_news or (is_running and is_old):
            await self._exchange()
            return True
        return is_running

    async def _exchange(self) -> None:
        """Tell and read everything, in one round trip that all who wait for it share."""
        loop = asyncio.get_running_loop()
        task = self._exchanging
        # A thread's own loop (a command's, a page's) cannot wait for the exchange of another.
        if task is None or task.done() or task.get_loop() is not loop:
            task = self._exchanging = loop.create_task(self._exchange_now())
        await asyncio.shield(task)

    async def _exchange_now(self) -> None:
        now = self._clock()
        report = self._report(now)

        async def exchange(client: Redis) -> Shared:
            pipeline = client.pipeline(transaction=False)
            shared.tell(pipeline, report, now)
            shared.ask(pipeline, now)
            results = await pipeline.execute()
            return shared.read(results[-shared.READS :], now, self._process)

        try:
            self._shared = await self._outage.ask(exchange)
        except RedisAway:
            for watch in self._watches.values():
                watch.kept_back(report, now)
            return
        self._read_at = now
        for watch in self._watches.values():
            watch.told(self._shared)

    def _report(self, now: float) -> Report:
        report = Report(process=self._process, dead=self._shared.dead)
        self._has_news = False
        for watch in self._watches.values():
            watch.report(report, now)
        return report

    def _look(self, now: float) -> Shared:
        """Return what the processes know, for a caller who is not on the hot path."""
        if _is_in_event_loop():
            self._tell_soon()
            return self._shared
        pipeline = get_redis_connection("default").pipeline(transaction=False)
        shared.ask(pipeline, now)
        try:
            with self._outage.asking():
                return shared.read(pipeline.execute(), now, self._process)
        except RedisAway:
            return self._shared

    def _health(self, deployment_id: int, known: Shared) -> DeploymentHealth:
        watch = self._watches.get(deployment_id)
        record = known.breakers.get(deployment_id)
        if watch is not None and known is self._shared:
            record = watch.record
        state = record.state if record else "closed"
        if record is not None and record.until <= self._clock():
            state = "half_open"
        window = known.windows.get(deployment_id, breaker.Window())
        p50, p95 = known.usual.get(deployment_id, (None, None))
        return DeploymentHealth(
            state=state,
            calls=window.calls,
            error_rate=window.failures / window.calls if window.calls else 0.0,
            p50_ttft_ms=p50,
            p95_ttft_ms=p95,
            running=known.running[deployment_id] + (watch.running if watch else 0),
        )


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
