"""Redis being away: said once, and not waited for with every call."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core import redis

logger = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

AWAY = (RedisError, OSError)  # a timeout is an OSError
PAUSE = 5.0  # seconds after a failure until Redis is asked again


class RedisAway(Exception):
    """Redis does not answer, or did not a moment ago: go on without it."""


class Outage:
    """Whether Redis is away for one purpose, and whether it is worth asking."""

    def __init__(self, name: str, *, failures: tuple[type[Exception], ...] = AWAY) -> None:
        self._name = name  # begins the events in the log: "llm.limits"
        self._failures = failures
        self._is_on = False
        self._ask_again_at = 0.0

    @property
    def is_paused(self) -> bool:
        """Whether Redis has failed so lately that it is not asked."""
        return self._is_on and time.monotonic() < self._ask_again_at

    async def ask(self, command: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """Return what Redis answers in time; raise `RedisAway` where it does not."""
        with self.asking():
            async with asyncio.timeout(settings.REDIS_PATIENCE_SECONDS):
                return await command(redis.client())

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask Redis inside, with a patience of your own; raises `RedisAway` as `ask` does."""
        if self.is_paused:
            raise RedisAway
        try:
            yield
        except self._failures as error:
            self.began(error)
            raise RedisAway from error
        self.ended()

    def began(self, error: BaseException) -> None:
        """Remember that Redis did not answer; warn the first time."""
        self._ask_again_at = time.monotonic() + PAUSE
        if not self._is_on:
            self._is_on = True
            logger.warning(f"{self._name}_away", error=type(error).__name__)

    def ended(self) -> None:
        """Remember that Redis has answered."""
        if self._is_on:
            self._is_on = False
            logger.info(f"{self._name}_back")
