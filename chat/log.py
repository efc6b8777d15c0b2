"""The log of one answer: numbered events in a Redis stream that any number of viewers read."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import redis.asyncio
import structlog
from django.conf import settings
from redis.exceptions import RedisError

from chat import events
from core.batching import Batcher
from core.loop_local import LoopLocal
from core.redis import client, key

logger = structlog.get_logger(__name__)

RUNNING_SECONDS = 86_400  # a log whose process died without an end
ENDED_SECONDS = 3_600  # the message row has the text; the log is for who is reading it now
MOST_EVENTS = 500  # in one read
FIELD = b"e"


class _Append(NamedTuple):
    message: UUID
    events: Sequence[events.Logged]


async def append(message: UUID, new: Sequence[events.Logged]) -> None:
    """Add events, which carry their positions.

    Without Redis the answer goes on: viewers then see what is saved in the message row.
    """
    try:
        await _batchers.get().submit(_Append(message, new))
    except (RedisError, OSError) as error:
        logger.warning("chat.log_not_written", message=str(message), error=type(error).__name__)


async def read(message: UUID, after: int) -> list[events.Logged]:
    """Return the events that follow the position `after` without a gap; none without Redis."""
    try:
        entries = await client().xrange(_key(message), min=f"{after + 1}-0", count=MOST_EVENTS)
    except (RedisError, OSError) as error:
        logger.warning("chat.log_not_read", message=str(message), error=type(error).__name__)
        return []
    return _without_gap(entries, after)


def text_after(message: UUID, after: int) -> tuple[str, int]:
    """Return the text that the log has beyond the position `after`, and the last position."""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5) as connection:
            entries = connection.xrange(_key(message), min=f"{after + 1}-0")
    except (RedisError, OSError) as error:
        logger.warning("chat.log_not_read", message=str(message), error=type(error).__name__)
        return "", after
    kept = _without_gap(entries, after)
    text = "".join(event.text for event in kept if isinstance(event, events.Delta))
    return text, after + len(kept)


def _without_gap(entries: Any, after: int) -> list[events.Logged]:
    """Return the events up to the first that is missing (Redis was away while it was written)."""
    result: list[events.Logged] = []
    for position, (_, fields) in enumerate(entries, after + 1):
        event = events.decode_logged(fields[FIELD])
        if event.cursor != position:
            break
        result.append(event)
    return result


async def _write(batch: Sequence[_Append]) -> Sequence[Exception | None]:
    """Append for all answers of this process that have news, in one round trip."""
    async with client().pipeline(transaction=False) as pipeline:
        for message, new in batch:
            for event in new:
                pipeline.xadd(_key(message), {FIELD: events.encode(event)}, id=f"{event.cursor}-0")
            if new[0].cursor == 1:
                pipeline.expire(_key(message), RUNNING_SECONDS)
            if isinstance(new[-1], events.Status):
                pipeline.expire(_key(message), ENDED_SECONDS)
        await pipeline.execute()
    return [None] * len(batch)


_batchers: LoopLocal[Batcher[_Append, None]] = LoopLocal(lambda: Batcher(_write))


def _key(message: UUID) -> str:
    return key("chat", "log", message.hex)
