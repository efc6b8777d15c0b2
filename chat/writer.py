"""Turns the words of a model into the events of the log, joined so that they stay small."""

import asyncio
from uuid import UUID

from chat import log, markdown, wakes
from chat.blocks import Blocks
from chat.events import Block, Delta, Logged

# An event costs about twenty bytes beside its text. The first words go out as fast as they come;
# the longer the answer grows, the more words share one event.
SHORTEST_PAUSE = 0.03  # seconds between two events
LONGEST_PAUSE = 0.15
CHARACTERS_PER_SECOND_OF_PAUSE = 100_000

LONG_SOURCE = 4_000  # characters; what takes longer to render does not hold up the others
NOT_TEXT = str.maketrans({"\r": None, "\0": "\N{REPLACEMENT CHARACTER}"})


def pause_after(length: int) -> float:
    """Return how long to collect words when `length` characters are written."""
    return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, length / CHARACTERS_PER_SECOND_OF_PAUSE))


async def rendered(source: str) -> str:
    """Return the source as HTML, in a thread where that takes long."""
    if len(source) < LONG_SOURCE:
        return markdown.render(source)
    return await asyncio.to_thread(markdown.render, source)


class Writer:
    """Writes one answer into its log. `text` and `cursor` always belong together."""

    def __init__(self, message: UUID) -> None:
        self.text = ""
        self.cursor = 0
        self._message = message
        self._blocks = Blocks()
        self._html: list[str] = []
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
            await asyncio.shield(self.flush())
            await asyncio.sleep(pause_after(len(self.text)))

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

    async def _write(self, text: str) -> None:
        new: list[Logged] = [Delta(self.cursor + 1, text)]
        if source := self._blocks.feed(text):
            html = await rendered(source)
            self._html.append(html)
            new.append(Block(self.cursor + 2, html, self._blocks.open))
        self.text += text
        await self.append(*new)
