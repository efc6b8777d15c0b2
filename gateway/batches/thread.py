"""The worker's batches in a thread and an event loop of their own, beside its other work."""

import asyncio
import threading

import structlog

from gateway.batches.closing import shut_down
from gateway.batches.work import work

logger = structlog.get_logger(__name__)

GRACE = 10.0  # seconds to settle what runs


class BatchThread:
    """Begins at once, and ends when it is told to."""

    def __init__(self) -> None:
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
            await work(self._stop)
        except Exception:  # the edge of the thread
            logger.exception("gateway.batches_ended")
        finally:
            await shut_down()
