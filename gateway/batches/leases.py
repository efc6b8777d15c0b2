"""Which worker runs a batch, and what it writes; all sync, each one statement or transaction.

A worker holds a batch by a lease that it renews; when it dies, the lease runs out and another goes
on. Whoever is not the holder any more writes nothing but results that are missing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from core.database import translate_outage
from gateway.batches.lines import Result
from gateway.models import Batch, BatchLine, BatchState

PAGE = 20  # lines read at once; one may be as large as a body of the API


def claim(holder: UUID) -> Batch | None:
    """Make `holder` the worker of the oldest batch that nobody works at; `None`: there is none."""
    with translate_outage(), transaction.atomic():
        found = (
            Batch.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("organization", "user")
            .unfinished()
            .free()
            .paid_for()
            .order_by("created_at", "pk")
            .first()
        )
        if found is not None:
            now = timezone.now()
            Batch.objects.filter(pk=found.pk).update(
                state=BatchState.RUNNING,
                started_at=Coalesce("started_at", now),
                lease_holder=holder,
                lease_expires_at=_expiry(),
            )
        return found


def renew(batch: Batch, holder: UUID) -> bool:
    """Return whether the holder is to go on: the batch is still its own, running and paid for."""
    with translate_outage():
        running = Batch.objects.filter(
            pk=batch.pk, lease_holder=holder, state=BatchState.RUNNING
        ).paid_for()
        return bool(running.update(lease_expires_at=_expiry()))


def release(batch: Batch, holder: UUID) -> None:
    """Let another worker take the batch at once; with all lines done, it is finished."""
    with translate_outage(), transaction.atomic():
        held = Batch.objects.filter(pk=batch.pk, lease_holder=holder)
        if not held.update(lease_holder=None, lease_expires_at=None):
            return
        if not BatchLine.objects.filter(batch_id=batch.pk, status_code=None).exists():
            Batch.objects.filter(pk=batch.pk, state=BatchState.RUNNING).update(
                state=BatchState.FINISHED, finished_at=timezone.now()
            )


def next_lines(batch: Batch, after: int) -> Sequence[BatchLine]:
    """Return some lines without a result, of those with a number above `after`."""
    with translate_outage():
        todo = BatchLine.objects.filter(batch_id=batch.pk, status_code=None, number__gt=after)
        return list(todo.order_by("number")[:PAGE])


def save(line: BatchLine, result: Result) -> None:
    """Write a result, unless there is one."""
    with translate_outage():
        BatchLine.objects.filter(pk=line.pk, status_code=None).update(
            result=result.text.decode(), status_code=result.status_code
        )


def _expiry() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
