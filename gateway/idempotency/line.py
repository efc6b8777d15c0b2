"""One event loop's line to Redis: what is said at the same time is one round trip."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

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
    async def send(client: Redis) -> list[Any]:
        async with client.pipeline(transaction=False) as pipeline:
            for said in batches:
                for command in said:
                    pipeline.execute_command(*command)
            return await pipeline.execute()

    try:
        coming = iter(await outage.ask(send))
    except RedisAway:
        return [None] * len(batches)
    return [[next(coming) for _ in said] for said in batches]


_batchers: LoopLocal[Batcher[Sequence[Command], Replies]] = LoopLocal(lambda: Batcher(_send))
