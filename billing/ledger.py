"""The ledger: a hold on every budget before a model is called, one settlement after.

All that is asked at the same time is booked in one transaction: by the event loop itself while all
goes well (`billing.ledger_line`), else by a thread that may wait (`billing.ledger_writer`).
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from billing import ledger_again, ledger_line, ledger_writer
from billing.batch import Batch, Results
from billing.entries import Attempt, Entry, Hit, Hold, Renewal, Settle, Settlement, void
from billing.errors import CommitUnknown
from billing.ledger_again import OpenCalls
from billing.ledger_line import Line
from billing.models import Outcome
from billing.opening import PeriodsMissing
from billing.pace import Pace
from core.batching import Batcher
from core.errors import DependencyDown
from core.loop_local import LoopLocal
from core.open_work import OpenWork

__all__ = ["Attempt", "Settlement", "close", "drain", "hold", "record_hit", "renew", "settle"]

logger = structlog.get_logger(__name__)

Task = asyncio.Task[None]

PATIENCE = 5.0  # seconds that the end of an answer waits for a database that is away
FIRST_PAUSE = 0.1  # seconds until the second try to settle; doubled with each
LONGEST_PAUSE = 5.0
MOST_UNSETTLED = 10_000  # settlements kept in memory in an outage; the sweeper does the rest

_writer = ThreadPoolExecutor(
    max_workers=1, thread_name_prefix="ledger", initializer=ledger_writer.use_own_connection
)
_unsettled = OpenWork()  # what goes on after its caller has left


async def hold(attempt: Attempt) -> Decimal | None:
    """Write the attempt's usage record and hold its worst case on every budget that applies.

    Returns what is then left on the hard budget that has least, in US dollars; `None` where no hard
    budget applies, or where the hold was booked by a commit whose answer was lost.
    Raises `BudgetExceeded`, or `DependencyDown` where PostgreSQL is away: the model is not to be
    called. A caller that is cancelled meanwhile leaves no hold behind.
    """
    held = _batchers.get().enqueue(Hold(attempt))
    try:
        return await asyncio.shield(held)
    except asyncio.CancelledError:
        _go_on(_release(held, void(attempt, Outcome.STOPPED)))
        raise
    except CommitUnknown as error:
        _settle_later(void(attempt, Outcome.FAILED, type(error).__name__))
        raise


async def settle(settlement: Settlement) -> None:
    """Release the hold and book the true cost, exactly once however often it is called.

    Raises `DependencyDown` when PostgreSQL stays away for `PATIENCE`; it is then settled later, as
    it is when the caller is cancelled.
    """
    if settlement.duration_ms is not None:
        _pace.took(settlement.duration_ms / 1000)
    try:
        await _batchers.get().submit(Settle(settlement))
    except asyncio.CancelledError:
        _settle_later(settlement)  # changes nothing where the batch succeeds
        raise
    except DependencyDown:
        task = _settle_later(settlement)
        done, _ = await asyncio.wait([task], timeout=PATIENCE)
        if not done:
            raise
        task.result()


async def record_hit(attempt: Attempt, settlement: Settlement) -> None:
    """Write the record of an answer from the cache: it has ended, and it cost nothing."""
    await _batchers.get().submit(Hit(attempt, settlement))


async def renew(usage_id: UUID, output_tokens: int) -> None:
    """Say that a call is alive and what it has produced so far, should its process die."""
    await _batchers.get().submit(Renewal(usage_id, output_tokens))


async def drain() -> None:
    """Return when everything asked so far is in the books, or cannot be for now."""
    await _batchers.get().drain()
    await _unsettled.finish(PATIENCE)


def close() -> None:
    """Close the ledger's connections, when the process ends."""
    ledger_line.close_all()
    _writer.submit(ledger_writer.close).result()


async def _write(entries: Sequence[Entry]) -> Results:
    """Book a batch; what the line cannot do is done again by the thread, and booked once."""
    _pace.booked(len(entries), time.monotonic())
    line, calls = _lines.get(), _open_calls.get()
    may_be_written = False
    if line.is_open:
        try:
            results = await line.book(Batch.of(entries))
            calls.note(entries, results)
            return results
        except PeriodsMissing:
            pass  # nothing is written; the thread opens the periods and books
        except Exception as error:  # the thread finds out whose fault it was
            logger.warning("billing.line_lost", error=type(error).__name__)
            may_be_written = calls.are_doubtful = True
    write = partial(ledger_again.write, entries, calls.doubtful, may_be_written=may_be_written)
    results = await asyncio.get_running_loop().run_in_executor(_writer, write)
    calls.note(entries, results)
    if not (line.is_open or any(isinstance(result, DependencyDown) for result in results)):
        await line.open()
    return results


_open_calls: LoopLocal[OpenCalls] = LoopLocal(OpenCalls)
_pace = Pace()
_lines: LoopLocal[Line] = LoopLocal(Line)
_batchers: LoopLocal[Batcher[Entry, Decimal | None]] = LoopLocal(
    lambda: Batcher(_write, pause=_pace.pause)
)


async def _release(held: "asyncio.Future[Decimal | None]", settlement: Settlement) -> None:
    """Settle an attempt whose caller left while it was being written, if it was written."""
    await asyncio.wait([held])
    await _settle_until_done(settlement, pause=0)


def _settle_later(settlement: Settlement) -> Task:
    return _go_on(_settle_until_done(settlement, pause=FIRST_PAUSE))


async def _settle_until_done(settlement: Settlement, *, pause: float) -> None:
    if len(_unsettled) > MOST_UNSETTLED:
        logger.error("billing.left_to_the_sweeper", usage_id=str(settlement.usage_id))
        raise DependencyDown("The database does not answer; the books are closed later.")
    while True:
        await asyncio.sleep(pause)
        try:
            await _batchers.get().submit(Settle(settlement))
        except DependencyDown:
            pause = min(LONGEST_PAUSE, 2 * pause or FIRST_PAUSE)
        else:
            return


def _go_on(work: Coroutine[Any, Any, None]) -> Task:
    """Run `work` although its caller leaves, and look at how it ends."""
    task = _unsettled.go_on(work)
    task.add_done_callback(_look)
    return task


def _look(task: Task) -> None:
    if not task.cancelled():
        task.exception()  # the writer has logged it; a caller who waits hears of it as well
