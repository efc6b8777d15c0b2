"""Work that nobody waits for in front of a page: it comes again when there is room for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from core.database import in_thread
from core.errors import DependencyDown
from llm.errors import NoDeployment
from llm.limits import LimitExceeded

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

PAUSE = 1.0  # seconds between two looks for work; what is cancelled is noticed as soon
PATIENCE = 600.0  # seconds that one call waits for room, where Parley itself says when to come back
NOT_YET = (LimitExceeded, DependencyDown, NoDeployment)  # nobody was asked, and nothing was paid


async def when_there_is_room(ask: Callable[[], Awaitable[Result]]) -> Result:
    """Return what `ask` returns, which is begun again while limits or outages say to wait."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await ask()
        except NOT_YET as error:
            if error.retry_after is None or time.monotonic() + error.retry_after > deadline:
                raise
            await asyncio.sleep(error.retry_after)


async def when_database_answers(
    service: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Return what `service` returns, however long that takes: what was paid for is written down."""
    while True:
        try:
            return await in_thread(service, *args, **kwargs)
        except DependencyDown:
            await asyncio.sleep(PAUSE)


async def pause(stop: asyncio.Event) -> None:
    """Return in time for the next look for work, or at once when told to stop."""
    try:
        async with asyncio.timeout(PAUSE):
            await stop.wait()
    except TimeoutError:
        return
