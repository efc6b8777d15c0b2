"""Many requests at once: so many running, so many begun a second, and one failure ends no other."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from core.errors import AppError
from llm.types import Delta, Event, Finished, Started

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Item, Result]):
    """One of many: what came of it."""

    item: Item
    result: Result | AppError


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer with everything that was told of it."""

    started: Started
    deltas: tuple[Delta, ...]
    finished: Finished


async def run_all(
    items: Iterable[Item] | AsyncIterable[Item],
    work: Callable[[Item], Awaitable[Result]],
    *,
    concurrency: int,
    per_second: float | None = None,
) -> AsyncGenerator[Done[Item, Result], None]:
    """Do `work` for each item and yield what came of it, in the order of completion.

    Items are taken only when there is room for them. An `AppError` is a result like another;
    anything else is a fault of ours, and raised. Closing the generator stops what runs.
    """
    pace = _Pace(per_second)
    running: set[asyncio.Task[Done[Item, Result]]] = set()
    async with aclosing(_each(items)) as waiting:
        try:
            while True:
                while len(running) < concurrency and (item := await anext(waiting, None)):
                    running.add(asyncio.create_task(_do(item[0], work, pace.next_start())))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            await _stop(running)


async def whole(events: AsyncGenerator[Event, None]) -> Whole:
    """Return the answer that `events` make."""
    started: Started | None = None
    deltas: list[Delta] = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Delta):
                deltas.append(event)
            elif isinstance(event, Started):
                started = event
            elif started is not None:
                return Whole(started, tuple(deltas), event)
    raise RuntimeError("An answer had no end.")  # the pipeline promises one, or raises


async def _each(
    items: Iterable[Item] | AsyncIterable[Item],
) -> AsyncGenerator[tuple[Item], None]:
    """Yield the items, each wrapped, so that `None` can mean that there is no more."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield (item,)
        return
    for item in items:
        yield (item,)


async def _stop(running: Iterable[asyncio.Task[Any]]) -> None:
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


class _Pace:
    """Hands out moments to begin at, evenly spaced."""

    def __init__(self, per_second: float | None) -> None:
        self._gap = 1 / per_second if per_second else 0.0
        self._next = 0.0

    def next_start(self) -> float:
        """Return when the next one may begin, in the loop's time."""
        start = max(self._next, asyncio.get_running_loop().time())
        self._next = start + self._gap
        return start


async def _do(
    item: Item, work: Callable[[Item], Awaitable[Result]], starts_at: float
) -> Done[Item, Result]:
    wait = starts_at - asyncio.get_running_loop().time()
    if wait > 0:
        await asyncio.sleep(wait)
    try:
        return Done(item, await work(item))
    except AppError as error:
        return Done(item, error)
