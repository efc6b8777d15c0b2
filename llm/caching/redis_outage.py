"""Asking Redis for what can be done without."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis

from core import redis
from core.outage import AWAY, PATIENCE, Outage

Answer = TypeVar("Answer")

outage = Outage("llm.cache")


async def ask(command: Callable[[Redis], Awaitable[Answer]]) -> Answer | None:
    """Return what Redis answers; `None` while it is away: a model is asked rather than wait."""
    if outage.is_resting:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await command(redis.client())
    except AWAY as error:
        outage.began(error)
        return None
    outage.ended()
    return answer
