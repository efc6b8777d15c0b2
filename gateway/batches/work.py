"""The worker's batches: several at once, each held by a lease, until all its lines are asked."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from uuid import UUID

import structlog
from django.conf import settings
from msgspec import Raw

from accounts.principal import Principal
from core.database import in_thread
from core.errors import AppError, DependencyDown
from core.ids import new_id
from gateway.batches import asking, leases, outputs, payers, validation
from gateway.batches.lines import Line, Result
from gateway.models import WRITING, Batch, BatchLine, BatchState, Endpoint
from llm import parallel
from llm.patience import PAUSE, pause, when_database_answers
from llm.types import Call

logger = structlog.get_logger(__name__)

MOST_BATCHES = 8  # at once
MOST_OF_ONE = 4  # organization: a short one does not wait for a long one, nor for another's many


class _Payer:
    """Who pays for a batch, with the rights that were last seen."""

    principal: Principal


async def work(stop: asyncio.Event) -> None:
    """Run batches as they come; when told to stop, leave them to another worker."""
    running: dict[asyncio.Task[None], int] = {}  # for which organization
    try:
        while not stop.is_set():
            running = {task: owner for task, owner in running.items() if not task.done()}
            full = [one for one, count in Counter(running.values()).items() if count >= MOST_OF_ONE]
            if len(running) < MOST_BATCHES and (claimed := await _claim(full)) is not None:
                running[asyncio.create_task(_run(*claimed))] = claimed[0].organization_id
                continue
            await pause(stop)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def run(batch: Batch, holder: UUID) -> None:
    """Do what is to be done with the batch, until it is or `holder` is not to go on."""
    payer = _Payer()
    asked = asyncio.create_task(_work_at(batch, holder, payer))
    held_until = time.monotonic() + settings.LEASE_SECONDS
    try:
        while not asked.done() and time.monotonic() < held_until:
            await asyncio.wait([asked], timeout=min(PAUSE, settings.LEASE_SECONDS / 3))
            try:
                if not await _may_go_on(batch, holder, payer):
                    break
                if not await in_thread(leases.renew, batch, holder):
                    # Cancelled, or somebody else's; or the key has ended between the two looks.
                    await _may_go_on(batch, holder, payer)
                    break
                held_until = time.monotonic() + settings.LEASE_SECONDS
            except DependencyDown:
                continue  # as long as the lease lasts
    finally:
        asked.cancel()
        await asyncio.wait([asked])
    # After a fault of ours the lease stays, so that the next try is not made at once.
    if not asked.cancelled():
        asked.result()


async def _run(batch: Batch, holder: UUID) -> None:
    logger.info("gateway.batch_begun", batch=batch.pk)
    try:
        await run(batch, holder)
    except asyncio.CancelledError:
        await _release(batch, holder)
        raise
    except Exception:  # the edge of a batch: one failure must not end the others
        logger.exception("gateway.batch_failed", batch=batch.pk)
    else:
        await _release(batch, holder)


async def _release(batch: Batch, holder: UUID) -> None:
    try:
        await in_thread(leases.release, batch, holder)
    except DependencyDown:
        logger.warning("gateway.batch_not_released", batch=batch.pk)  # its lease runs out
    else:
        logger.info("gateway.batch_left", batch=batch.pk)


async def _may_go_on(batch: Batch, holder: UUID, payer: _Payer) -> bool:
    """Learn the payer's rights of now; where they are not enough to ask more, end the batch."""
    if batch.state in WRITING:
        return True
    try:
        payer.principal = await in_thread(payers.payer_of, batch)
    except DependencyDown:
        raise
    except AppError as error:
        logger.info("gateway.batch_ended_early", batch=batch.pk, code=error.code)
        await when_database_answers(leases.end_early, batch, holder, error)
        return False
    return True


async def _work_at(batch: Batch, holder: UUID, payer: _Payer) -> None:
    if batch.state in WRITING:
        await in_thread(outputs.write, batch, holder)
        return
    if batch.state == BatchState.VALIDATING:
        if not await in_thread(validation.validate, batch, holder):
            return
        batch.state = BatchState.RUNNING
    if await _may_go_on(batch, holder, payer):
        await _ask_all(batch, payer)


async def _ask_all(batch: Batch, payer: _Payer) -> None:
    async def ask(row: BatchLine) -> Result:
        body = Raw(row.body.encode())
        line = Line(custom_id=row.custom_id, body=body, url=Endpoint(batch.endpoint))
        call = Call(
            principal=payer.principal,
            surface=asking.SURFACE,
            request_id=f"{batch.run_name}{row.number}",
            tags=tuple(batch.tags),
        )
        result = await asking.ask(line, call)
        if batch.input_file_id is not None:  # whose results become files as well
            batch.bytes += 2 * len(result.text)
        await when_database_answers(leases.save, row, result)
        return result

    todo = parallel.run_all(
        _todo(batch), ask, concurrency=batch.concurrency, per_second=batch.per_second
    )
    async with aclosing(todo) as done:
        async for _ in done:
            pass


async def _todo(batch: Batch) -> AsyncGenerator[BatchLine, None]:
    last = 0
    while lines := await when_database_answers(leases.next_lines, batch, last):
        for line in lines:
            yield line
            last = line.number


async def _claim(without: Collection[int]) -> tuple[Batch, UUID] | None:
    holder = new_id()
    try:
        batch = await in_thread(leases.claim, holder, without=without)
    except DependencyDown:
        return None
    except Exception:  # the edge: the worker looks again
        logger.exception("gateway.batch_not_claimed")
        return None
    return (batch, holder) if batch is not None else None
