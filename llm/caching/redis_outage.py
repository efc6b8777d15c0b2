"""Redis being away for the cache, which is a saving and not a need."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis

from core.outage import Outage, RedisAway

Answer = TypeVar("Answer")

outage = Outage("llm.cache")


async def ask(command: Callable[[Redis], Awaitable[Answer]]) -> Answer | None:
    """Return what Redis answers; `None` while it is away: a model is asked rather than wait."""
    try:
        return await outage.ask(command)
    except RedisAway:
        return None
