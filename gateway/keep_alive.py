"""A sign of life in a stream that is silent while its model thinks."""

import asyncio
from collections.abc import Awaitable, Callable


class KeepAlive:
    """Calls `say` whenever nothing was noted for a while.

    A stream has one timer, which is set anew only when it is due: each piece of an answer costs no
    more than a look at the clock.
    """

    def __init__(self, say: Callable[[], Awaitable[None]], seconds: float) -> None:
        self._say = say
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._noted_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._is_over = False

    def begin(self) -> None:
        """Watch from now on."""
        self.note()
        self._timer = self._loop.call_later(self._seconds, self._look)

    def note(self) -> None:
        """Remember that something was sent just now."""
        self._noted_at = self._loop.time()

    @property
    def is_speaking(self) -> bool:
        return self._speaking is not None and not self._speaking.done()

    async def silence(self) -> None:
        """Return when `say` is done: two who speak at once would tear each other's words."""
        if self._speaking is not None:
            await asyncio.wait([self._speaking])

    def end(self) -> None:
        """Say no more."""
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        left = self._noted_at + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._speaking = self._loop.create_task(self._speak())

    async def _speak(self) -> None:
        await self._say()
        self.note()
        if not self._is_over:
            self._timer = self._loop.call_later(self._seconds, self._look)
