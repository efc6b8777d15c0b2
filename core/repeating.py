"""What is done every few seconds, or many times a second, as long as there is something to do."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

logger = structlog.get_logger(__name__)


class Repeating:
    """Do `work` after every so many `seconds` until it returns that there is no more.

    One serves one event loop. What `work` raises is logged and ends it, until it is begun anew.
    """

    def __init__(self, work: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        self._work = work
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """See to it that the work is done; it may be under way already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Do it no more, also where it is in the middle of it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._seconds)
                if not await self._work():
                    return
        except Exception:  # the edge of a task: nobody waits for it
            logger.exception("core.repeating_failed", work=self._work.__qualname__)
        finally:
            self._task = None
