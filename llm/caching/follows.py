"""An answer that another process makes, read page by page as that writes it down."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator

from llm.caching import commands, pages
from llm.caching.commands import Errand
from llm.caching.pages import Page


class Follow:
    """What another process writes down of the call that it makes."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._read: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._from: bytes = b"-"
        self._sign_at = time.monotonic() + commands.SIGN
        self._heard_at = time.monotonic()
        self._is_suspect = False

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Yield page after page; the end without a last page means that the leader is gone.

        Raises `Unreadable`.
        """
        while (page := await self._read.get()) is not None:
            yield pages.decode(page)

    def errands(self, now: float) -> Iterator[Errand]:
        """Yield what is to be said to Redis now."""
        yield commands.read(self._key, self._from), self._turn
        if now >= self._sign_at:
            self._sign_at = now + commands.SIGN
            yield commands.note(self._key), self._noted

    def cut_off(self, now: float) -> None:
        """Give up when Redis has been away for longer than a leader may be silent."""
        if now > self._heard_at + commands.LEASE:
            self.end()

    def end(self) -> None:
        """Read no more."""
        self._read.put_nowait(None)

    def _turn(self, entries: list[tuple[bytes, dict[bytes, bytes]]] | None) -> None:
        self._heard_at = time.monotonic()
        for number, fields in entries or ():
            self._from = b"(" + number
            self._read.put_nowait(fields[b"page"])
        # The log is read before the lease is looked at: what the leader wrote last was not missed.
        if self._is_suspect and not entries:
            self.end()
        self._is_suspect = False

    def _noted(self, is_led: int) -> None:
        self._is_suspect = not is_led
