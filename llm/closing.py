"""What a process that has made calls owes at its end."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from billing import ledger
from core import redis
from llm import service

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def shut_down() -> None:
    """Settle what was begun and hang up."""
    await service.close()
    await ledger.drain()
    await redis.close()
    ledger.close()


async def until_stopped(work: Coroutine[Any, Any, None]) -> int | None:
    """Do `work`, and then what a process owes at its end; return the signal that stopped it.

    A second signal changes nothing: what runs is being settled.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    stopped_by: list[int] = []

    def stop(number: int) -> None:
        if not stopped_by:
            stopped_by.append(number)
            task.cancel()

    for number in STOPS:
        loop.add_signal_handler(number, stop, number)
    try:
        await asyncio.wait([task])
        if not (stopped_by and task.cancelled()):
            task.result()
    finally:
        await shut_down()
    return stopped_by[0] if stopped_by and task.cancelled() else None
