"""How often the cache had the answer, what that saved, and how much it holds.

Counted in memory and added up in Redis every few seconds, by the hour: a figure may be lost with
its process, for it is no money. Nothing is searched for in Redis: the size is what was written and
has not expired, so what was written twice or purged counts until its time is up.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Literal, NamedTuple

import structlog
from django_redis import get_redis_connection
from redis.asyncio import Redis

from core import redis
from core.loop_local import LoopLocal
from core.outage import Outage, RedisAway
from core.repeating import Repeating
from llm.caching.lookup import Lookup
from llm.caching.redis_outage import ask
from llm.models.caching import LONGEST_SECONDS

logger = structlog.get_logger(__name__)

Result = Literal["hit", "miss", "shared", "semantic"]

HOUR = 3600
FLUSH_SECONDS = 2.0
KEPT_HOURS = 8 * 24
LONGEST_HOURS = LONGEST_SECONDS // HOUR + 1
PARTS = 10**12  # of a dollar: Redis counts in whole numbers, and money is no float


class Place(NamedTuple):
    """Where a number is added up: a hash in Redis, and in it an organization and an alias."""

    kind: str  # "counts" of an hour, or the "stock" that expires in it
    hour: int
    organization_id: int
    alias: str

    @property
    def hash(self) -> str:
        return redis.key("cache", self.kind, self.hour)

    def field(self, name: str) -> str:
        return f"{self.organization_id}:{name}:{self.alias}"


@dataclass(slots=True)
class Figures:
    """The figures of an organization's calls to one alias."""

    organization_id: int
    alias: str
    hit: int = 0
    shared: int = 0
    semantic: int = 0
    miss: int = 0
    saved: int = 0
    written: int = 0
    entries: int = 0
    bytes: int = 0

    @property
    def answered(self) -> int:
        """Calls that cost nothing."""
        return self.hit + self.shared + self.semantic

    @property
    def hit_rate(self) -> float | None:
        """The part of calls that cost nothing; `None` where there were none."""
        calls = self.answered + self.miss
        return self.answered / calls if calls else None

    @property
    def saved_usd(self) -> Decimal:
        return Decimal(self.saved) / PARTS


class Counting:
    """One event loop's counts, on their way to Redis."""

    def __init__(self) -> None:
        self._counts: defaultdict[Place, Counter[str]] = defaultdict(Counter)
        self._flushing = Repeating(self._flush, seconds=FLUSH_SECONDS)

    def add(self, place: Place, **numbers: int) -> None:
        counts = self._counts[place]
        for name, number in numbers.items():
            counts[name] += number
        self._flushing.begin()

    async def close(self) -> None:
        """Add up what is left, when the event loop ends."""
        await self._flushing.stop()
        await self._flush()

    async def _flush(self) -> bool:
        """Add up in Redis what has been counted; return whether there is more."""
        counts, self._counts = self._counts, defaultdict(Counter)
        if counts:
            await ask(partial(_add_up, counts))
        return bool(self._counts)


def note(
    lookup: Lookup, result: Result, *, age: float | None = None, saved_usd: Decimal | None = None
) -> None:
    """Count and log where an answer came from, and what it saved, where that is known."""
    saved = int(saved_usd * PARTS) if saved_usd else 0
    _counting.get().add(_place("counts", _now(), lookup), **{result: 1, "saved": saved})
    more = {} if age is None else {"age": round(age, 1)}
    logger.info("llm.cache", result=result, request_id=lookup.call.request_id, **more)


def note_saved(lookup: Lookup, saved_usd: Decimal | None) -> None:
    """Count what a shared answer saved, which is known only when it has ended."""
    if saved_usd:
        _counting.get().add(_place("counts", _now(), lookup), saved=int(saved_usd * PARTS))


def note_written(lookup: Lookup, size: int, seconds: int) -> None:
    """Count an answer of so many bytes that is kept for so many seconds."""
    counting = _counting.get()
    counting.add(_place("counts", _now(), lookup), written=1)
    counting.add(_place("stock", _now() + seconds // HOUR, lookup), entries=1, bytes=size)


def report(*, hours: int = 24) -> list[Figures] | None:
    """Return the figures of the last hours, the most used first; `None` while Redis is away."""
    now = _now()
    names = [redis.key("cache", "counts", now - back) for back in range(hours)]
    names += [redis.key("cache", "stock", now + ahead) for ahead in range(LONGEST_HOURS)]
    try:
        with _reading.asking():
            hashes = _read(names)
    except RedisAway:
        return None
    found: dict[tuple[int, str], Figures] = {}
    for organization_id, alias, name, number in _numbers(hashes):
        figures = found.setdefault((organization_id, alias), Figures(organization_id, alias))
        setattr(figures, name, getattr(figures, name) + number)
    return sorted(found.values(), key=lambda one: (-one.answered - one.miss, one.alias))


async def close() -> None:
    if counting := _counting.pop():
        await counting.close()


async def _add_up(counts: Mapping[Place, Counter[str]], client: Redis) -> None:
    async with client.pipeline(transaction=False) as pipeline:
        for place, numbers in counts.items():
            for name, number in numbers.items():
                pipeline.hincrby(place.hash, place.field(name), number)
        for name in {place.hash for place in counts}:
            pipeline.expire(name, KEPT_HOURS * HOUR)
        await pipeline.execute()


def _read(names: Sequence[str]) -> list[Mapping[bytes, bytes]]:
    pipeline = get_redis_connection("default").pipeline(transaction=False)
    for name in names:
        pipeline.hgetall(name)
    answer: list[Mapping[bytes, bytes]] = pipeline.execute()
    return answer


def _numbers(hashes: Sequence[Mapping[bytes, bytes]]) -> Iterator[tuple[int, str, str, int]]:
    for counted in hashes:
        for field, number in counted.items():
            organization_id, name, alias = field.decode().split(":", 2)
            yield int(organization_id), alias, name, int(number)


def _place(kind: str, hour: int, lookup: Lookup) -> Place:
    return Place(kind, hour, lookup.call.principal.organization_id, lookup.route.alias)


def _now() -> int:
    return int(time.time()) // HOUR


_counting: LoopLocal[Counting] = LoopLocal(Counting)
_reading = Outage("llm.cache_figures")  # a page may be in vain without a call's suffering
