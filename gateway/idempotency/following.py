"""An answer that another process makes or has made, read from its log."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway import redis_line
from gateway.idempotency import log
from gateway.idempotency.errors import Interrupted, NotKept, away
from gateway.idempotency.log import Entry, Log
from gateway.idempotency.recording import Parts

TICK = 0.03  # seconds between two looks at a log without news


async def parts(of: Log, after: int) -> Parts:
    """Yield the head, and the pieces that follow the number `after` as they are written."""
    async with aclosing(_entries(of)) as entries:
        async for number, entry in entries:
            if entry.head is not None:
                if not entry.head.is_stream:  # what has no events is answered whole
                    after = 0
                yield entry.head
            elif entry.piece is not None and number > after:
                yield entry.piece
            elif entry.end == "interrupted":
                raise Interrupted
            elif entry.end == "not_kept":
                raise NotKept
            elif entry.end is not None:
                return


async def _entries(of: Log) -> AsyncGenerator[tuple[int, Entry], None]:
    """Yield what is written, with its number; raise where nothing more will be."""
    position = b"-"
    is_suspect = False
    while True:
        replies = await redis_line.send(of.read(position))
        if replies is None:
            raise away()
        entries, is_held, holder = replies
        for id, fields in entries:
            position = b"(" + id
            yield int(id.partition(b"-")[0]), log.decode(fields[b"e"])
        if not entries:
            # Looked at twice: it may have ended between the one command and the next.
            if is_suspect:
                raise Interrupted if holder else away()
            is_suspect = not is_held
            await asyncio.sleep(TICK)
