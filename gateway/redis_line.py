"""One event loop's line to Redis: what is said at the same time is one round trip."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from core import redis
from core.batching import Batcher
from core.loop_local import LoopLocal
from core.outage import Outage, RedisAway

Command = tuple[Any, ...]
Replies = list[Any] | None  # None: Redis is away

outage = Outage("gateway.redis")


async def send(said: Sequence[Command]) -> Replies:
    """Return Redis's replies; what was said before arrives before."""
    return await enqueue(said)


def enqueue(said: Sequence[Command]) -> "asyncio.Future[Replies]":
    """Return where Redis's replies will be."""
    return _batchers.get().enqueue(said)


async def drain() -> None:
    """Return when all that was said has been answered."""
    await _batchers.get().drain()


async def _send(batches: Sequence[Sequence[Command]]) -> Sequence[Replies]:
    try:
        return await outage.ask(partial(redis.send_all, batches))
    except RedisAway:
        return [None] * len(batches)


_batchers: LoopLocal[Batcher[Sequence[Command], Replies]] = LoopLocal(lambda: Batcher(_send))
