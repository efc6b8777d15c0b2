"""Turns the words of a model into the events of the log, joined so that they stay small."""

import asyncio
import time
from uuid import UUID

from chat import log, markdown, wakes
from chat.blocks import Blocks
from chat.events import Block, Delta, Logged
from chat.pace import SHORTEST_WAIT, Pace

LONG_SOURCE = 4_000  # characters; what takes longer to render does not hold up the others
NOT_TEXT = str.maketrans({"\r": None, "\0": "\N{REPLACEMENT CHARACTER}"})


async def rendered(source: str) -> str:
    """Return the source as HTML, in a thread where that takes long."""
    if len(source) < LONG_SOURCE:
        return markdown.render(source)
    return await asyncio.to_thread(markdown.render, source)


class Writer:
    """Writes one answer into its log. `text`, `finished` and `cursor` always belong together."""

    def __init__(self, message: UUID) -> None:
        self.text = ""
        self.finished = 0  # characters of the text in finished blocks
        self.cursor = 0
        self._message = message
        self._blocks = Blocks()
        self._html: list[str] = []
        self._pace = Pace()
        self._waiting: list[str] = []
        self._has_news = asyncio.Event()
        self._writing = asyncio.Lock()

    def add(self, text: str) -> None:
        """Take words; they are written soon."""
        self._waiting.append(text.translate(NOT_TEXT))
        self._has_news.set()

    async def run(self) -> None:
        """Write what was added, for as long as the task lives."""
        while True:
            await self._has_news.wait()
            if self._pace.is_due(sum(map(len, self._waiting)), time.monotonic()):
                await asyncio.shield(self.flush())
            await asyncio.sleep(SHORTEST_WAIT)

    async def flush(self) -> None:
        """Write what was added until now."""
        async with self._writing:
            self._has_news.clear()
            text = "".join(self._waiting)
            self._waiting.clear()
            if text:
                await self._write(text)

    async def finish(self) -> str:
        """Write what is left; return the whole answer as HTML."""
        await self.flush()
        source = self._blocks.finish()
        if self._blocks.has_definition:
            html = await rendered(self.text)
            await self.append(Block(self.cursor + 1, html, is_whole=True))
            return html
        if source.strip():
            html = await rendered(source)
            self._html.append(html)
            await self.append(Block(self.cursor + 1, html))
        return "".join(self._html)

    async def append(self, *new: Logged) -> None:
        """Add events to the log and wake who reads it."""
        self.cursor = new[-1].cursor
        await log.append(self._message, new)
        await wakes.wake(wakes.answer(self._message))

    async def _fed(self, text: str) -> str:
        if len(self._blocks.open) < LONG_SOURCE:
            return self._blocks.feed(text)
        return await asyncio.to_thread(self._blocks.feed, text)

    async def _write(self, text: str) -> None:
        before = self._blocks.open
        source = await self._fed(text)
        html = await rendered(source)
        new = around_block(self.cursor, before, text, source, html)
        self._html.append(html)
        self.text += text
        self.finished = len(self.text) - len(self._blocks.open)
        self._pace.sent(new, text, time.monotonic())
        await self.append(*new)


def around_block(cursor: int, before: str, text: str, source: str, html: str) -> list[Logged]:
    """Return the events for `text` after what was open `before`, where `source` is finished.

    What belongs to the block goes before it, and the rest after it: nothing is sent twice.
    """
    if not source:
        return [Delta(cursor + 1, text)]
    cut = max(0, len(source) - len(before))
    new: list[Logged] = []
    if cut:
        new.append(Delta(cursor + 1, text[:cut]))
    new.append(Block(cursor + len(new) + 1, html, before[len(source) :]))
    if text[cut:]:
        new.append(Delta(cursor + len(new) + 1, text[cut:]))
    return new
