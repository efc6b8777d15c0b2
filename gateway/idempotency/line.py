"""One event loop's line to Redis: what is said at the same time is one round trip."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from core import redis
from core.batching import Batcher
from core.loop_local import LoopLocal
from core.outage import Outage, RedisAway
from gateway.idempotency.log import Command

Replies = list[Any] | None  # None: Redis is away

outage = Outage("gateway.idempotency")


async def send(said: Sequence[Command]) -> Replies:
    """Return Redis's replies; what was said before arrives before."""
    return await _batchers.get().submit(said)


async def drain() -> None:
    """Return when all that was said has been answered."""
    await _batchers.get().drain()


async def _send(batches: Sequence[Sequence[Command]]) -> Sequence[Replies]:
    try:
        return await outage.ask(partial(redis.send_all, batches))
    except RedisAway:
        return [None] * len(batches)


_batchers: LoopLocal[Batcher[Sequence[Command], Replies]] = LoopLocal(lambda: Batcher(_send))
