"""Bounds how often somebody may do something, over all processes: wrong keys, sign-ins, messages.

For what happens at a person's pace or has failed. Calls of models have limits of their own
(`llm.limits`), which cost less and are set by staff.
"""

import time
from collections.abc import Callable
from functools import cache

import structlog
from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry

from core.durations import in_words
from core.errors import AppError
from core.outage import Outage, RedisAway

logger = structlog.get_logger(__name__)

MOST = 10_000  # callers that a process remembers as refused

clock = time.monotonic  # seconds; tests move it on

_outage = Outage("core.throttle")


class TooOften(AppError):
    """Whoever asks has done this too often lately."""

    code = "rate_limit_exceeded"
    http_status = 429


class Throttle:
    """So many times in so many seconds for each key, in a moving window; `times()` 0: no bound."""

    def __init__(self, name: str, *, times: Callable[[], int], seconds: int) -> None:
        self._name = name
        self._times = times
        self._seconds = seconds
        self._refused: dict[str, float] = {}  # until when

    def check(self, key: str, message: str) -> None:
        """Raise `TooOften` where this process knows that `key` is refused; ask nobody."""
        until = self._refused.get(key)
        if until is None:
            return
        left = until - clock()
        if left > 0:
            raise TooOften(f"{message} Try again in {in_words(left)}.", retry_after=left)
        self._refused.pop(key, None)

    def count(self, key: str) -> None:
        """Count one time; the last one that is allowed makes `key` refused from then on.

        Asks Redis, for at most half a second. Another process knows it when it next counts.
        """
        times = self._times()
        if not times or not key:
            return
        left = self._hit(RateLimitItemPerSecond(times, self._seconds, namespace=self._name), key)
        if left:
            if len(self._refused) >= MOST:
                self._refused.clear()
            self._refused[key] = clock() + left
            logger.warning("core.throttled", throttle=self._name)

    def forget(self) -> None:
        """Forget who is refused, in this process."""
        self._refused.clear()

    def _hit(self, item: RateLimitItemPerSecond, key: str) -> float:
        try:
            with _outage.asking():
                return _left(_shared(), item, key)
        except RedisAway:
            return _left(_local(), item, key)


def _left(limiter: MovingWindowRateLimiter, item: RateLimitItemPerSecond, key: str) -> float:
    """Count, and return the seconds until one more fits where none does now."""
    limiter.hit(item, key)
    window = limiter.get_window_stats(item, key)
    return max(0.001, window.reset_time - time.time()) if window.remaining <= 0 else 0.0


@cache
def _shared() -> MovingWindowRateLimiter:
    pool = ConnectionPool.from_url(
        settings.REDIS_URL,
        socket_timeout=settings.REDIS_PATIENCE_SECONDS,
        socket_connect_timeout=settings.REDIS_PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    # The address is not used where a pool is given, but read all the same.
    storage = RedisStorage(
        "redis://localhost:6379",
        connection_pool=pool,
        key_prefix=f"{settings.REDIS_PREFIX}:throttle",
    )
    return MovingWindowRateLimiter(storage)


@cache
def _local() -> MovingWindowRateLimiter:
    return MovingWindowRateLimiter(MemoryStorage())
