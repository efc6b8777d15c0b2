"""The shared Redis client of the hot path; Django's cache and the channel layer have their own."""

from django.conf import settings
from redis.asyncio import Redis

from core.loop_local import LoopLocal


def client() -> Redis:
    """Return this event loop's client; it connects when first used and answers in bytes."""
    return _clients.get()


def key(*parts: object) -> str:
    """Return a key below Parley's prefix, so that one Redis can serve several programs."""
    return ":".join([settings.REDIS_PREFIX, *map(str, parts)])


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
