"""Work that outlives whoever began it."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

from core.loop_local import LoopLocal

Result = TypeVar("Result")


class OpenWork:
    """Tasks that nobody may be waiting for; an event loop alone would forget them."""

    def __init__(self) -> None:
        self._tasks: LoopLocal[set[asyncio.Task[Any]]] = LoopLocal(set)

    def __len__(self) -> int:
        return len(self._tasks.get())

    def go_on(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run `work` to its end, although its caller may leave."""
        task = asyncio.get_running_loop().create_task(work)
        tasks = self._tasks.get()
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    async def finish(self, seconds: float | None = None) -> None:
        """Return when all that was begun in this event loop is done, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while tasks := self._tasks.get():
                    await asyncio.wait(tasks)

    async def cancel(self) -> None:
        """Stop what still runs in this event loop, and return when it has ended."""
        tasks = list(self._tasks.get())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
