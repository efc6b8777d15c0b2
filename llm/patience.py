"""Work that nobody waits for in front of a page: it comes again when Parley says to."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import DependencyDown
from llm.errors import NoDeployment
from llm.limits import LimitExceeded

Result = TypeVar("Result")

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
