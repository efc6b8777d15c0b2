"""Answers that were given before to the very same question of the same organization.

Redis being away means no cache, never an error.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from core import redis
from llm import metering
from llm.routing import Route
from llm.types import Call, ChatRequest, Delta, Event, Finished, KeptAnswer, Started

logger = structlog.get_logger(__name__)

LARGEST = 1_000_000  # bytes of an answer that is kept
PATIENCE = 0.5  # seconds; a model is asked rather than a slow Redis
REST = 5.0  # seconds after a failure until Redis is asked again


class Outage:
    """Redis being away: said once, and not waited for with every call."""

    def __init__(self) -> None:
        self._is_on = False
        self._ask_again_at = 0.0

    @property
    def is_resting(self) -> bool:
        return self._is_on and time.monotonic() < self._ask_again_at

    def began(self, error: Exception) -> None:
        self._ask_again_at = time.monotonic() + REST
        if not self._is_on:
            self._is_on = True
            logger.warning("llm.cache_away", error=type(error).__name__)

    def ended(self) -> None:
        if self._is_on:
            self._is_on = False
            logger.info("llm.cache_back")


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KeptAnswer).decode
_canonical = msgspec.json.Encoder(order="deterministic").encode
_outage = Outage()


def key_for(request: ChatRequest, call: Call, route: Route) -> str | None:
    """Return the key of the answer; `None` where the same question is to be answered anew.

    The tenant and everything that could change the answer are in it, also who would answer.
    """
    is_repeatable = request.temperature == 0 or route.is_cached
    if not (is_repeatable and call.use_cache and settings.CACHE_SECONDS):
        return None
    deployments = [(deployment.provider, deployment.model) for deployment in route.deployments]
    question = (call.principal.organization_id, call.prompt, deployments, request)
    return redis.key("answer", hashlib.sha256(_canonical(question)).hexdigest())


async def get(key: str) -> KeptAnswer | None:
    """Return the answer kept under `key`."""
    stored = await _ask(lambda client: client.get(key))
    try:
        return _decode(stored) if stored else None
    except msgspec.DecodeError:  # another version of Parley wrote it
        return None


async def put(key: str, events: Sequence[Event]) -> None:
    """Keep a whole answer for a while, unless it was filtered or is very large."""
    started, *_, finished = events
    if not (isinstance(started, Started) and isinstance(finished, Finished)):
        return
    kept = KeptAnswer(
        provider=started.provider,
        model=started.model,
        delta=_joined([event for event in events if isinstance(event, Delta)]),
        finish_reason=finished.finish_reason,
        usage=finished.usage,
        kept_at=time.time(),
    )
    encoded = _encode(kept)
    if kept.finish_reason != "content_filter" and len(encoded) <= LARGEST:
        await _ask(lambda client: client.set(key, encoded, ex=settings.CACHE_SECONDS))


async def replay(kept: KeptAnswer, request: ChatRequest, call: Call) -> AsyncGenerator[Event, None]:
    """Yield a kept answer as if it came now; it is recorded and costs nothing."""
    usage_id = await metering.record_hit(call, kept, model_asked=request.model)
    yield Started(
        usage_id=usage_id,
        provider=kept.provider,
        model=kept.model,
        is_cache_hit=True,
        cache_age=max(0.0, time.time() - kept.kept_at),
    )
    yield kept.delta
    yield Finished(
        finish_reason=kept.finish_reason,
        usage=kept.usage,
        is_estimated=False,
        cost_usd=metering.NO_COST,
    )


def _joined(deltas: Sequence[Delta]) -> Delta:
    raw = [delta.raw for delta in deltas]
    return Delta(
        text="".join(delta.text for delta in deltas),
        tool_calls=tuple(call for delta in deltas for call in delta.tool_calls),
        reasoning="".join(delta.reasoning for delta in deltas),
        raw=None if None in raw else b"".join(filter(None, raw)),
    )


async def _ask(command: Callable[[Redis], Awaitable[Any]]) -> Any:
    """Return what Redis answers; `None` while it is away."""
    if _outage.is_resting:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            answer = await command(redis.client())
    except (RedisError, OSError) as error:
        _outage.began(error)
        return None
    _outage.ended()
    return answer
