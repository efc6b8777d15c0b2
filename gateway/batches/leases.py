"""Which worker runs a batch, and what it writes; all sync, each one statement or transaction.

A worker holds a batch by a lease that it renews; when it dies, the lease runs out and another goes
on. Whoever is not the holder any more writes nothing but results that are missing.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from core.database import translate_outage
from core.errors import AppError
from gateway.batches import lines
from gateway.batches.lines import Result
from gateway.models import ASKING, WRITING, Batch, BatchLine, BatchState

PAGE = 20  # lines read at once; one may be as large as a body of the API


def claim(holder: UUID, *, without: Collection[int] = ()) -> Batch | None:
    """Make `holder` the worker of the oldest batch that nobody works at; `None`: there is none.

    Those of the organizations in `without` are left to others.
    """
    with translate_outage(), transaction.atomic():
        found = (
            Batch.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("organization", "user")
            .unfinished()
            .free()
            .due()
            .exclude(organization__in=without)
            .order_by("created_at", "pk")
            .first()
        )
        if found is not None:
            _begin(found)
            found.lease_holder, found.lease_expires_at = holder, _expiry()
            found.save(
                update_fields=[
                    *("state", "started_at", "finalizing_at"),
                    *("lease_holder", "lease_expires_at"),
                ]
            )
        return found


def renew(batch: Batch, holder: UUID) -> bool:
    """Return whether the holder is to go on: the batch is its own, and in time and paid for."""
    with translate_outage():
        held = Batch.objects.filter(pk=batch.pk, lease_holder=holder)
        held = held.filter(state=batch.state) if batch.state in WRITING else held.going_on()
        return bool(held.update(lease_expires_at=_expiry(), bytes=batch.bytes))


def end_early(batch: Batch, holder: UUID, why: AppError) -> None:
    """Let no further line of a program's batch be asked, and say why; what there is, is written."""
    now = timezone.now()
    with translate_outage():
        held = Batch.objects.of_api().filter(pk=batch.pk, lease_holder=holder, state__in=ASKING)
        held.update(
            state=BatchState.FINALIZING,
            finalizing_at=Coalesce(F("finalizing_at"), now),
            errors=[lines.problem(None, why)],
        )


def validated(batch: Batch, holder: UUID) -> bool:
    """Let the lines of a batch be asked; return whether `holder` still has a say."""
    now = timezone.now()
    held = Batch.objects.filter(pk=batch.pk, lease_holder=holder, state=BatchState.VALIDATING)
    return bool(held.update(state=BatchState.RUNNING, started_at=Coalesce("started_at", now)))


def release(batch: Batch, holder: UUID) -> None:
    """Let another worker take the batch at once; with all lines done, none is to be asked."""
    with translate_outage(), transaction.atomic():
        held = Batch.objects.filter(pk=batch.pk, lease_holder=holder)
        if not held.update(lease_holder=None, lease_expires_at=None, bytes=batch.bytes):
            return
        if not BatchLine.objects.filter(batch_id=batch.pk, status_code=None).exists():
            asked_all(batch)


def asked_all(batch: Batch) -> None:
    """End a batch of staff's own; of a program's, the results are to be written into files."""
    now = timezone.now()
    running = Batch.objects.filter(pk=batch.pk, state=BatchState.RUNNING)
    running.of_api().update(
        state=BatchState.FINALIZING, finalizing_at=Coalesce(F("finalizing_at"), now)
    )
    running.update(state=BatchState.FINISHED, finished_at=now)


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


def _begin(batch: Batch) -> None:
    """Set what a batch is in from now on; one that has run out of time asks no more."""
    now = timezone.now()
    if batch.state in ASKING and batch.expires_at is not None and batch.expires_at <= now:
        batch.state, batch.finalizing_at = BatchState.FINALIZING, now
    elif batch.state == BatchState.WAITING:
        batch.state = BatchState.RUNNING
        batch.started_at = batch.started_at or now


def _expiry() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
