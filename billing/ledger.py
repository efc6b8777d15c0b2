"""The ledger: a hold on every budget before a model is called, one settlement after.

Callers are async; the books are kept by one writer thread in each process, which takes all that is
asked at the same time into one transaction (`billing.ledger_writer`).
"""

import asyncio
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import structlog

from billing import ledger_writer
from billing.entries import Attempt, Entry, Hit, Hold, Renewal, Settle, Settlement, void
from core.batching import Batcher
from core.errors import DependencyDown

__all__ = ["Attempt", "Settlement", "drain", "hold", "record_hit", "renew", "settle"]

logger = structlog.get_logger(__name__)

PATIENCE = 5.0  # seconds that the end of an answer waits for a database that is away
LONGEST_PAUSE = 5.0  # seconds between two tries to settle
MOST_UNSETTLED = 10_000  # settlements kept in memory in an outage; the sweeper does the rest

_writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
_batchers: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Batcher[Entry, None]]"
_batchers = weakref.WeakKeyDictionary()
_unsettled: set[asyncio.Task[None]] = set()


async def hold(attempt: Attempt) -> None:
    """Write the attempt's usage record and hold its worst case on every budget that applies.

    Raises `BudgetExceeded`, or `DependencyDown` where PostgreSQL is away. A caller that is
    cancelled meanwhile must settle all the same: the hold may have been taken.
    """
    try:
        await _batcher().submit(Hold(attempt))
    except DependencyDown:
        # Whether the commit was made is unknown; the provider will not be called.
        _settle_later(void(attempt))
        raise


async def settle(settlement: Settlement) -> None:
    """Release the hold and book the true cost, exactly once however often it is called.

    Raises `DependencyDown` when PostgreSQL stays away for `PATIENCE`; it is then settled later.
    """
    try:
        await _batcher().submit(Settle(settlement))
    except DependencyDown:
        task = _settle_later(settlement)
        done, _ = await asyncio.wait([task], timeout=PATIENCE)
        if not done:
            raise


async def record_hit(attempt: Attempt, settlement: Settlement) -> None:
    """Write the record of an answer from the cache: it has ended, and it cost nothing."""
    await _batcher().submit(Hit(attempt, settlement))


async def renew(usage_id: UUID, output_tokens: int) -> None:
    """Say that a call is alive and what it has produced so far, should its process die."""
    await _batcher().submit(Renewal(usage_id, output_tokens))


async def drain() -> None:
    """Return when everything asked so far is in the books, or cannot be for now."""
    await _batcher().drain()
    if _unsettled:
        await asyncio.wait(_unsettled, timeout=PATIENCE)


def close() -> None:
    """Give the writer's connection back, when the process ends."""
    _writer.submit(ledger_writer.close).result()


def _batcher() -> Batcher[Entry, None]:
    loop = asyncio.get_running_loop()
    found = _batchers.get(loop)
    if found is None:
        found = _batchers[loop] = Batcher(_write)
    return found


async def _write(entries: Sequence[Entry]) -> Sequence[Exception | None]:
    return await asyncio.get_running_loop().run_in_executor(_writer, ledger_writer.write, entries)


def _settle_later(settlement: Settlement) -> "asyncio.Task[None]":
    task = asyncio.get_running_loop().create_task(_settle_until_done(settlement))
    _unsettled.add(task)
    task.add_done_callback(_unsettled.discard)
    return task


async def _settle_until_done(settlement: Settlement) -> None:
    if len(_unsettled) > MOST_UNSETTLED:
        logger.error("billing.left_to_the_sweeper", usage_id=str(settlement.usage_id))
        return
    pause = 0.1
    while True:
        await asyncio.sleep(pause)
        try:
            await _batcher().submit(Settle(settlement))
        except DependencyDown:
            pause = min(LONGEST_PAUSE, pause * 2)
        else:
            return
