"""Wake-ups between processes: "there is news about this", never the news itself.

Each process (event loop) listens on one channel of the channel layer for all of its topics. A lost
wake-up costs time, not content: whoever waits also looks for itself now and then.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import structlog
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from core.loop_local import LoopLocal

logger = structlog.get_logger(__name__)


def answer(message: UUID) -> str:
    """Return the topic of those who read an answer."""
    return f"chat.answer.{message.hex}"


def stop(message: UUID) -> str:
    """Return the topic of the process that writes an answer."""
    return f"chat.stop.{message.hex}"


def conversation(conversation_id: UUID) -> str:
    """Return the topic of the windows that show a conversation."""
    return f"chat.conversation.{conversation_id.hex}"


@asynccontextmanager
async def watch(topic: str) -> AsyncIterator[asyncio.Event]:
    """Have an event that is set whenever someone, in any process, calls `wake(topic)`."""
    ear = _ears.get()
    woken = asyncio.Event()
    ear.waiting[topic].add(woken)
    try:
        await ear.listen(topic)
        yield woken
    finally:
        ear.waiting[topic].discard(woken)
        if not ear.waiting[topic]:
            del ear.waiting[topic]
            await ear.forget(topic)


async def wake(topic: str) -> None:
    """Wake who watches the topic: in this process at once, in others through the channel layer."""
    ear = _ears.get()
    ear.ring(topic)
    try:
        await ear.layer.group_send(topic, {"type": "wake", "topic": topic, "from": ear.name})
    except (RedisError, OSError) as error:
        logger.warning("chat.wake_not_sent", error=type(error).__name__)


async def close() -> None:
    """Hear nothing more in this event loop."""
    ear = _ears.pop()
    if ear is not None:
        ear.close()


class _Ear:
    """One event loop's channel, and who waits for what."""

    def __init__(self) -> None:
        self.layer: Any = get_channel_layer()
        self.name = ""
        self.waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    def ring(self, topic: str) -> None:
        for woken in self.waiting.get(topic, ()):
            woken.set()

    async def listen(self, topic: str) -> None:
        """Hear of the topic from other processes; without Redis, only of this one."""
        try:
            async with self._opening:
                if self._task is None:
                    self.name = await self.layer.new_channel()
                    self._task = asyncio.create_task(self._receive())
            await self.layer.group_add(topic, self.name)
        except (RedisError, OSError) as error:
            logger.warning("chat.wakes_only_local", error=type(error).__name__)

    async def forget(self, topic: str) -> None:
        try:
            await self.layer.group_discard(topic, self.name)
        except (RedisError, OSError) as error:
            logger.warning("chat.wakes_only_local", error=type(error).__name__)

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _receive(self) -> None:
        while True:
            message = await self.layer.receive(self.name)
            if message["from"] != self.name:
                self.ring(message["topic"])


_ears = LoopLocal(_Ear)
