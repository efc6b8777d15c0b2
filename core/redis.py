"""The shared Redis client of the hot path; Django's cache and the channel layer have their own."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from redis.asyncio import Redis

from core.loop_local import LoopLocal


def client() -> Redis:
    """Return this event loop's client; it connects when first used and answers in bytes."""
    return _clients.get()


def key(*parts: object) -> str:
    """Return a key below Parley's prefix, so that one Redis can serve several programs."""
    return ":".join([settings.REDIS_PREFIX, *map(str, parts)])


async def send_all(said: Sequence[Sequence[tuple[Any, ...]]], client: Redis) -> list[list[Any]]:
    """Return the replies to each one's commands, sent in one round trip."""
    async with client.pipeline(transaction=False) as pipeline:
        for commands in said:
            for command in commands:
                pipeline.execute_command(*command)
        coming = iter(await pipeline.execute())
    return [[next(coming) for _ in commands] for commands in said]


async def close() -> None:
    """Close this event loop's client."""
    found = _clients.pop()
    if found is not None:
        await found.aclose()


def _connect() -> Redis:
    patience = settings.REDIS_PATIENCE_SECONDS
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=max(5, patience),
        socket_connect_timeout=max(2, patience),
    )


_clients = LoopLocal(_connect)
