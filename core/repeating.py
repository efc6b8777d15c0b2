"""What is done every few seconds, or many times a second, as long as there is something to do."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

logger = structlog.get_logger(__name__)


class Repeating:
    """Do `work` after every so many `seconds` until it returns that there is no more.

    It runs in the event loop that begins it, and begins anew in another one if that has ended.
    What `work` raises is logged and ends it, until it is begun anew.
    """

    def __init__(self, work: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """See to it that the work is done; it may be under way already."""
        task = self._task
        if task is None or task.done() or task.get_loop().is_closed():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Do it no more in this event loop, also where it is in the middle of it."""
        task = self._task
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._seconds)
                if not await self._work():
                    return
        except Exception:  # the edge of a task: nobody waits for it
            logger.exception("core.repeating_failed", work=self._work.__qualname__)
