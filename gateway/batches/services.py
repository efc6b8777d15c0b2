"""Every write to batches that staff ask for: made, cancelled, asked again."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from asgiref.sync import sync_to_async
from django.db import transaction
from django.utils import timezone

from core.database import translate_outage
from core.errors import AppError
from gateway.batches import lines
from gateway.models import OK, Batch, BatchLine, BatchState

MOST_LINES = 50_000
MOST_BYTES = 100 * 1024 * 1024
AT_ONCE = 100  # rows


class BatchNotReady(AppError):
    """What was asked for cannot be done with a batch in this state."""

    code = "batch_not_ready"
    http_status = 409


@transaction.atomic
def create(batch: Batch, file: BinaryIO) -> Batch:
    """Save the batch with the lines of a file that was checked; a worker takes it from here."""
    batch.save()
    rows = _rows(batch, file)
    while some := list(islice(rows, AT_ONCE)):
        BatchLine.objects.bulk_create(some)
    return batch


def cancel(batch: Batch) -> None:
    """Let no further line be asked; what runs is stopped within two seconds."""
    is_changed = (
        Batch.objects.unfinished()
        .filter(pk=batch.pk)
        .update(state=BatchState.CANCELLED, finished_at=timezone.now())
    )
    if not is_changed:
        raise BatchNotReady("The batch has already ended.")


@transaction.atomic
def retry_failed(batch: Batch) -> int:
    """Let the lines that failed, and those never asked, be asked; return how many."""
    # A holder means that a worker is still stopping what ran.
    locked = Batch.objects.select_for_update().filter(pk=batch.pk).free()
    ended = locked.filter(state__in=[BatchState.FINISHED, BatchState.CANCELLED])
    if not ended.exists():
        raise BatchNotReady("The batch is still running; wait for its end, or cancel it.")
    failed = BatchLine.objects.filter(batch=batch).exclude(status_code=OK)
    failed.filter(status_code__isnull=False).update(result=None, status_code=None)
    count = BatchLine.objects.filter(batch=batch, status_code=None).count()
    if count:
        Batch.objects.filter(pk=batch.pk).update(state=BatchState.WAITING, finished_at=None)
    return count


async def results(batch: Batch) -> AsyncGenerator[bytes, None]:
    """Yield the file of results, as far as it is, some lines at a time."""
    last = 0
    while page := await sync_to_async(_page, thread_sensitive=False)(batch, last):
        last = page[-1][0]
        yield "".join(f"{text}\n" for _, text in page).encode()


def _page(batch: Batch, after: int) -> Sequence[tuple[int, str]]:
    with translate_outage():
        done = BatchLine.objects.filter(batch=batch, result__isnull=False, number__gt=after)
        page = done.order_by("number").values_list("number", "result")[:AT_ONCE]
        return [(number, text or "") for number, text in page]


def _rows(batch: Batch, file: BinaryIO) -> Iterator[BatchLine]:
    file.seek(0)
    for number, text in lines.each(file):
        line = lines.read(text)
        body = bytes(line.body).decode()
        yield BatchLine(batch=batch, number=number, custom_id=line.custom_id, body=body)
