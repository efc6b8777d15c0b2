"""An answer in the making: numbered for whoever reads it here, and written down for the others."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from django.conf import settings

from core.request_id import Message
from gateway import redis_line
from gateway.idempotency.errors import Interrupted
from gateway.idempotency.log import End, Head, Log
from gateway.redis_line import Command

MOST_BYTES = 4_000_000  # of an answer that is kept
BLANK = b"\n\n"  # ends an event
NOT_KEPT = (b"request-id",)  # headers of one request, not of its answer

Parts = AsyncGenerator[Head | bytes, None]


class Recording:
    """Takes what a consumer sends, as its client would, and lets any number read it."""

    def __init__(self, log: Log, *, alive_event: bytes) -> None:
        self._task: asyncio.Task[None] | None = None  # makes the answer
        self._log = log
        self._alive_event = alive_event
        self._head: Head | None = None
        self._pieces: list[bytes] = []
        self._rest = b""  # of an event that is not complete
        self._size = 0
        self._has_ended = False  # the answer, as it should
        self._is_over = False  # and nothing more comes
        self._is_lost = False  # what is written down has a gap
        self._news = asyncio.Event()
        self._readers = 0
        self._alone: asyncio.TimerHandle | None = None

    def begin(self, task: "asyncio.Task[None]") -> None:
        """Let the task make it; nobody reads it yet."""
        self._task = task
        self._look_for_readers()

    async def take(self, message: Message) -> None:
        """Take an ASGI message of the answer."""
        if message["type"] == "http.response.start":
            headers = [pair for pair in message["headers"] if pair[0] not in NOT_KEPT]
            self._head = Head(int(message["status"]), headers)
            await self._write(self._log.head(self._head))
        else:
            has_more = bool(message.get("more_body"))
            await self._add(self._split(message["body"], has_more=has_more))
            self._has_ended = not has_more
        self._tell()

    async def parts(self, after: int) -> Parts:
        """Yield the head, and the pieces that follow the number `after` as they come."""
        position = after
        has_head = False
        self._enter()
        try:
            while True:
                if self._head is not None and not has_head:
                    has_head = True
                    if not self._head.is_stream:  # what has no events is answered whole
                        position = 0
                    yield self._head
                for piece in self._pieces[position:]:
                    position += 1
                    yield piece
                if position < len(self._pieces):
                    continue
                if self._has_ended:
                    return
                if self._is_over:
                    raise Interrupted
                await self._news.wait()
        finally:
            self._leave()

    def sign(self) -> Command:
        """Return what is to be said of it from time to time."""
        return self._log.sign()

    async def close(self) -> None:
        """Let nobody wait any more, and say what becomes of the answer."""
        self._is_over = True
        if self._alone is not None:
            self._alone.cancel()
        self._tell()
        await redis_line.send(self._log.end(self._end(), len(self._pieces), self._size))

    def _end(self) -> End:
        if not self._has_ended or self._is_lost or self._head is None:
            return "interrupted"
        if self._head.status >= 400:
            return "forgotten"
        return "kept" if self._size <= MOST_BYTES else "not_kept"

    def _split(self, body: bytes, *, has_more: bool) -> list[bytes]:
        """Return the events that are complete, or the body; signs of life are not of the answer."""
        if self._head is None or body == self._alive_event:
            return []
        if not self._head.is_stream:
            return [body] if body else []
        *events, self._rest = (self._rest + body).split(BLANK)
        if self._rest and not has_more:
            events.append(self._rest)
        numbered = enumerate(events, len(self._pieces) + 1)
        return [b"id: %d\n%b%b" % (number, event, BLANK) for number, event in numbered]

    async def _add(self, pieces: Sequence[bytes]) -> None:
        first = len(self._pieces) + 1
        self._pieces += pieces
        was_kept = self._size <= MOST_BYTES
        self._size += sum(map(len, pieces))
        if self._size <= MOST_BYTES:
            await self._write([self._log.piece(*one) for one in enumerate(pieces, first)])
        elif was_kept:
            await self._write([self._log.empty()])

    async def _write(self, said: Sequence[Command]) -> None:
        """Write down; whoever reads here need not wait for it."""
        if not said:
            return
        self._tell()
        if await redis_line.send(said) is None:
            self._is_lost = True

    def _tell(self) -> None:
        self._news.set()
        self._news.clear()

    def _enter(self) -> None:
        self._readers += 1
        if self._alone is not None:
            self._alone.cancel()

    def _leave(self) -> None:
        """Go without the rest; an answer that nobody here waits for has only so much time left."""
        self._readers -= 1
        self._look_for_readers()

    def _look_for_readers(self) -> None:
        if not self._readers and self._task is not None and not self._is_over:
            loop = asyncio.get_running_loop()
            self._alone = loop.call_later(settings.DRAIN_SECONDS, self._task.cancel)
