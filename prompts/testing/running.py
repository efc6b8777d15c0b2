"""The worker's runs: each held by a lease until its cases have results or it may not go on."""

import asyncio
import time
from contextlib import aclosing
from decimal import Decimal

import structlog
from django.conf import settings

from accounts.principal import Principal
from core.database import in_thread
from core.errors import AppError, DependencyDown
from llm import metering, parallel
from llm.patience import PAUSE, pause, when_database_answers, when_there_is_room
from prompts.models import CaseResult, DatasetRun, RunState
from prompts.testing import asking, asks, costs, leases, runs, worst_case
from prompts.testing.asks import Ask, Question
from prompts.testing.costs import Spent
from prompts.testing.purse import CapReached, Purse

logger = structlog.get_logger(__name__)

MOST_RUNS = 4  # at once
CONCURRENCY = 4  # calls of a run at once
LATE = 30.0  # seconds that the end of a run waits for the books of its last calls

NOTHING = Spent(usd=Decimal(0), unpriced=0, running=0)


async def work(stop: asyncio.Event) -> None:
    """Do runs as they come; when told to stop, leave them to another worker."""
    running: set[asyncio.Task[None]] = set()
    try:
        while not stop.is_set():
            running = {task for task in running if not task.done()}
            if len(running) < MOST_RUNS and (run := await _claim()) is not None:
                running.add(asyncio.create_task(_run(run)))
                continue
            await pause(stop)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def do(run: DatasetRun) -> None:
    """Do what is missing of a run that is held, until it is done or is not to go on."""
    asked = asyncio.create_task(_work_at(run))
    held_until = time.monotonic() + settings.LEASE_SECONDS
    try:
        while not asked.done() and time.monotonic() < held_until:
            await asyncio.wait([asked], timeout=min(PAUSE, settings.LEASE_SECONDS / 3))
            try:
                if not asked.done() and not await in_thread(leases.renew, run):
                    break  # cancelled, or somebody else's
                held_until = time.monotonic() + settings.LEASE_SECONDS
            except DependencyDown:
                continue  # as long as the lease lasts
    finally:
        if asked.cancel():
            # Nobody goes on with a cancelled run: its cost is told although we may be leaving, too.
            await asyncio.shield(metering.go_on(_stopped(asked, run)))
    # After a fault of ours the lease stays, so that the next try is not made at once.
    if not asked.cancelled():
        asked.result()


async def _run(run: DatasetRun) -> None:
    logger.info("prompts.run_begun", run=run.pk)
    try:
        await do(run)
    except asyncio.CancelledError:
        await _release(run)
        raise
    except Exception:  # the edge of a run: one failure must not end the others
        logger.exception("prompts.run_failed", run=run.pk)
    else:
        logger.info("prompts.run_left", run=run.pk)


async def _work_at(run: DatasetRun) -> None:
    try:
        principal = await when_database_answers(
            runs.payer, run.dataset.prompt.organization, run.created_by
        )
    except AppError as error:  # who started it may not ask any more
        await when_database_answers(leases.finish, run, RunState.FAILED, error.message)
        return
    all_asks = await when_database_answers(asks.all_of, run)
    todo = await when_database_answers(asks.missing, run, all_asks)
    spent = await when_database_answers(costs.of, _ids(all_asks), principal.organization_id)
    purse = Purse(cap=run.cap_usd, spent=spent.usd)
    left = await _ask_all(run, todo, purse, principal)
    await _spend(run, all_asks)
    if left:
        why = f"The cap is reached: {left} of {len(all_asks)} answers were not asked for."
        await when_database_answers(leases.finish, run, RunState.CAPPED, why)
    else:
        await when_database_answers(leases.finish, run, RunState.DONE)


async def _ask_all(run: DatasetRun, todo: list[Ask], purse: Purse, principal: Principal) -> int:
    """Ask what is missing; return how many could not be paid."""

    async def one(ask: Ask) -> CaseResult:
        return await _one(ask, purse, principal)

    left = 0
    async with aclosing(parallel.run_all(todo, one, concurrency=CONCURRENCY)) as done:
        async for each in done:
            left += isinstance(each.result, CapReached)
    return left


async def _one(ask: Ask, purse: Purse, principal: Principal) -> CaseResult:
    """Return the result of an ask, which is saved with its cost; raise `CapReached`."""
    if purse.is_closed:
        raise CapReached("The cap is reached.")
    try:
        question, most = await when_there_is_room(lambda: _prepared(ask, principal))
    except AppError as error:
        result = asking.result_of(ask, error=error.message)
        return await _save(result, NOTHING, purse)
    await purse.take(most)
    before = await _cost(ask, principal)  # of a worker that died over it
    result = await asking.result(ask, question, principal)
    spent = await _cost(ask, principal)
    await purse.settle(most, spent.usd - before.usd)
    return await _save(result, spent, purse)


async def _prepared(ask: Ask, principal: Principal) -> tuple[Question, Decimal]:
    question = await asks.question_of(ask, principal)
    return question, await worst_case.most_usd(question, principal)


async def _save(result: CaseResult, spent: Spent, purse: Purse) -> CaseResult:
    await when_database_answers(leases.save, result, spent, total_usd=purse.spent)
    return result


async def _cost(ask: Ask, principal: Principal) -> Spent:
    return await when_database_answers(costs.of, [ask.request_id], principal.organization_id)


async def _stopped(asked: asyncio.Task[None], run: DatasetRun) -> None:
    """Write down what a run has cost that ends before its end."""
    await asyncio.wait([asked])
    await _spend(run, await when_database_answers(asks.all_of, run))


async def _spend(run: DatasetRun, all_asks: list[Ask]) -> None:
    """Write down what the run has cost, when the books of all its calls are closed."""
    deadline = time.monotonic() + LATE
    organization_id = run.dataset.prompt.organization_id
    while True:
        spent = await when_database_answers(costs.of, _ids(all_asks), organization_id)
        await when_database_answers(leases.spend, run, spent)
        if not spent.running or time.monotonic() > deadline:
            return
        await asyncio.sleep(PAUSE / 4)


def _ids(all_asks: list[Ask]) -> list[str]:
    return [ask.request_id for ask in all_asks]


async def _claim() -> DatasetRun | None:
    try:
        return await in_thread(leases.claim)
    except DependencyDown:
        return None
    except Exception:  # the edge: the worker looks again
        logger.exception("prompts.run_not_claimed")
        return None


async def _release(run: DatasetRun) -> None:
    try:
        await in_thread(leases.release, run)
    except DependencyDown:
        logger.warning("prompts.run_not_released", run=run.pk)  # its lease runs out
