"""What is asked at the same time is done together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from core.errors import own

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Hand concurrent items to `handle` in one batch; each caller gets its own result or error.

    A batch begins after the seconds that `pause` returns, or at once. Items that arrive while one
    runs form the next. `handle` returns a result or an exception per item, in order; what it
    raises, all get.
    One batcher serves one event loop.
    """

    def __init__(
        self,
        handle: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_size: int = 500,
        pause: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._handle = handle
        self._max_size = max_size
        self._pause = pause
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._runner: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Result:
        """Return the result for `item`; a caller that is cancelled does not stop the batch."""
        return await self.enqueue(item)

    def enqueue(self, item: Item) -> "asyncio.Future[Result]":
        """Return where the result will be, for a caller who has to know it even if cancelled."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return future

    async def drain(self) -> None:
        """Return when everything submitted so far has been handled."""
        while self._runner is not None:
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        try:
            while self._waiting:
                # One turn of the loop, at least, lets callers that are ready now join this batch.
                await asyncio.sleep(self._pause())
                batch = self._waiting[: self._max_size]
                del self._waiting[: self._max_size]
                await self._handle_batch(batch)
        finally:
            self._runner = None
            # Only a runner that was cancelled leaves somebody waiting.
            for _, future in self._waiting:
                future.cancel()
            self._waiting.clear()

    async def _handle_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = await self._handle([item for item, _ in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results for {len(batch)} items")
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # every caller of the batch must hear of it
            results = [own(error) for _ in batch]
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():  # its caller went away
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
