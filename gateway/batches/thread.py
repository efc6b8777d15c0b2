"""The worker's batches in a thread and an event loop of their own, beside its other work."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import structlog

from gateway.batches.work import work
from llm.closing import shut_down

logger = structlog.get_logger(__name__)

GRACE = 10.0  # seconds to settle what runs

Work = Callable[[asyncio.Event], Awaitable[None]]  # until the event is set


class BatchThread:
    """Begins at once, and ends when it is told to; other work that makes calls is done beside."""

    def __init__(self, *others: Work) -> None:
        self._works: tuple[Work, ...] = (work, *others)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop what runs, and return when it is settled."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(GRACE)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._work())

    async def _work(self) -> None:
        try:
            await asyncio.gather(*map(self._do, self._works))
        finally:
            await shut_down()

    async def _do(self, one: Work) -> None:
        try:
            await one(self._stop)
        except Exception:  # the edge of the thread
            logger.exception("worker.calls_ended", work=one.__module__)
