"""Fewer, larger writes while the process is busy; when it is idle a token goes out at once."""

import asyncio
import time
from collections.abc import AsyncGenerator

from llm.types import Event

BUSY_TURN = 0.001  # seconds that one turn of the event loop takes when there is much to do
TURNS = 10  # a pause lasts so many turns, for then most of what gathers would have cost a wake-up
LONGEST_PAUSE = 0.15  # seconds; a reader hardly notices, and a thousand streams stay in time


async def paced(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """Yield `events`; on a busy loop, let some gather in the socket before asking for the next.

    Providers hand over what has gathered as one delta, so a pause saves a wake-up of the whole
    chain for each token in it. Only an event that had to be waited for is followed by a pause:
    a backlog is worked off without one.
    """
    asked_at = time.monotonic()
    async for event in events:
        waited = time.monotonic() - asked_at
        yield event
        if waited >= BUSY_TURN:
            turn_began_at = time.monotonic()
            await asyncio.sleep(0)
            turn = time.monotonic() - turn_began_at
            if turn >= BUSY_TURN:
                await asyncio.sleep(min(LONGEST_PAUSE, TURNS * turn))
        asked_at = time.monotonic()
