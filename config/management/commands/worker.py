"""The background worker: queued tasks, batches, and the housekeeping that keeps promises."""

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections, connection

import billing.alerts.delivering
import billing.alerts.finding
import billing.alerts.operations
import billing.books
import billing.reports.rollups
import billing.retention.partitions
import billing.retention.statistics
import billing.sweeper
import chat.services
import gateway.batches.services
import gateway.files.services
import llm.caching.semantic
import llm.guardrails.decisions
import llm.limits.refusals
import prompts.experiments.watching
import prompts.releases.services
import prompts.testing.running
from gateway.batches.thread import BatchThread

logger = structlog.get_logger(__name__)

Job = tuple[float, Callable[[], int]]

# Each is safe to run in several workers at once. Seconds between two runs.
HOUSEKEEPING: list[Job] = [
    (10.0, billing.sweeper.sweep),
    (600.0, billing.books.check_nightly),
    (5.0, billing.alerts.finding.find),
    (60.0, billing.alerts.operations.find),
    (3600.0, billing.retention.partitions.make_ahead),
    (3600.0, billing.retention.statistics.keep_up),
    (15.0, billing.reports.rollups.roll_up),
    (5.0, chat.services.reap),
    (60.0, prompts.experiments.watching.watch),
    (1.0, prompts.releases.services.move_due),
    (3600.0, llm.guardrails.decisions.remove_old),
    (600.0, llm.caching.semantic.remove_expired),
    (600.0, llm.limits.refusals.remove_old),
    (600.0, gateway.files.services.remove_expired),
    (3600.0, gateway.batches.services.remove_old_lines),
]
# In a thread of its own: a receiver that does not answer must not hold up the sweeper.
OUTGOING: list[Job] = [(5.0, billing.alerts.delivering.deliver)]
OUTAGE_PAUSE = 3.0  # seconds


class Command(BaseCommand):
    help = "Run queued tasks and the housekeeping (sweep open usage, end dead generations)."

    def handle(self, **options: Any) -> None:
        for jobs in (HOUSEKEEPING, OUTGOING):
            threading.Thread(target=_keep_house, args=[jobs], daemon=True).start()
        batches = BatchThread(prompts.testing.running.work)
        try:
            # It ends by SystemExit when it is told to stop.
            _do_tasks()
        finally:
            batches.stop()


def _do_tasks() -> None:
    while True:
        try:
            call_command("db_worker", queue_name="*", verbosity=0)
        except DatabaseError as error:
            logger.warning("worker.database_away", error=type(error).__name__)
            connection.close()
            time.sleep(OUTAGE_PAUSE)


def _keep_house(jobs: list[Job]) -> None:
    due = {job: 0.0 for _, job in jobs}
    while True:
        for interval, job in jobs:
            if time.monotonic() >= due[job]:
                due[job] = time.monotonic() + interval
                _run(job)
        time.sleep(0.5)


def _run(job: Callable[[], int]) -> None:
    close_old_connections()
    try:
        count = job()
    except Exception:  # the edge of a job: one failure must not end the others
        logger.exception("worker.job_failed", job=job.__module__)
    else:
        if count:
            logger.info("worker.job", job=job.__module__, count=count)
    finally:
        close_old_connections()
