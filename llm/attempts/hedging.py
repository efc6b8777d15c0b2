"""A second deployment beside a slow one: whoever speaks first answers, the other is stopped."""

import asyncio
from collections.abc import Awaitable, Callable

from llm.attempts.attempt import Attempt
from llm.metering import go_on

Task = asyncio.Task[None]


async def race(
    first: Attempt,
    *,
    beside: Callable[[], Awaitable[Attempt | None]],
    patience: float,
    deadline: float,
) -> Attempt:
    """Return the attempt that speaks first; `beside` makes a second one after `patience` seconds.

    Raises the first one's error when nobody speaks.
    """
    leading = asyncio.create_task(first.begin(deadline))
    running = {leading: first}
    winner: Task | None = None
    try:
        await asyncio.wait(running, timeout=patience)
        if not leading.done() and (second := await beside()) is not None:
            running[asyncio.create_task(second.begin_beside(deadline))] = second
        winner = await _first_to_speak(set(running)) or leading
        await winner
        return running[winner]
    finally:
        losers = [task for task in running if task is not winner]
        stopping = [go_on(_stop(task, running[task])) for task in losers]
        if winner is None:  # the caller has left: that is told when the books are closed
            await asyncio.shield(asyncio.gather(*stopping))


async def _first_to_speak(waiting: set[Task]) -> Task | None:
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None:
                return task
    return None


async def _stop(task: Task, attempt: Attempt) -> None:
    """End an attempt that is not needed, whether it has spoken already or not."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await attempt.end(asyncio.CancelledError())
