"""The shared Redis client of the hot path; Django's cache and the channel layer have their own."""

import asyncio
import weakref

from django.conf import settings
from redis.asyncio import Redis

_clients: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Redis]" = (
    weakref.WeakKeyDictionary()
)


def client() -> Redis:
    """Return this event loop's client; it connects when first used and answers in bytes."""
    loop = asyncio.get_running_loop()
    found = _clients.get(loop)
    if found is None:
        found = Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=2)
        _clients[loop] = found
    return found


def key(*parts: object) -> str:
    """Return a key below Parley's prefix, so that one Redis can serve several programs."""
    return ":".join([settings.REDIS_PREFIX, *map(str, parts)])


async def close() -> None:
    """Close this event loop's client."""
    found = _clients.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.aclose()
