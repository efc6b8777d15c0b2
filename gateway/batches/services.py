"""Every write to batches that staff ask for: made, cancelled, asked again."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import BinaryIO

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core.database import translate_outage
from core.errors import AppError
from gateway.batches import lines
from gateway.models import ASKING, ENDED, OK, UNFINISHED, Batch, BatchLine, BatchState

MOST_LINES = 50_000
MOST_BYTES = 100 * 1024 * 1024
AT_ONCE = 100  # rows
WINDOW = timedelta(hours=24)  # for a program's batch


class BatchNotReady(AppError):
    """What was asked for cannot be done with a batch in this state."""

    code = "batch_not_ready"
    http_status = 409


@transaction.atomic
def create(batch: Batch, file: BinaryIO) -> Batch:
    """Save the batch with the lines of a file that was checked; a worker takes it from here."""
    file.seek(0)
    batch.endpoint = next(lines.read(text).url for _, text in lines.each(file))
    batch.save()
    add_lines(batch, file)
    return batch


def add_lines(batch: Batch, file: BinaryIO) -> None:
    """Save the lines of a file that was checked."""
    rows = _rows(batch, file)
    while some := list(islice(rows, AT_ONCE)):
        BatchLine.objects.bulk_create(some)


def cancel(batch: Batch) -> None:
    """Let no further line be asked; what runs is stopped within two seconds.

    Of a program's batch, what there is by then is written into files, and the batch ends with that.
    """
    now = timezone.now()
    asking = Batch.objects.filter(pk=batch.pk, state__in=ASKING)
    is_changed = asking.of_api().update(
        state=BatchState.CANCELLING, cancelling_at=now
    ) or asking.update(state=BatchState.CANCELLED, finished_at=now)
    if not is_changed:
        raise BatchNotReady("The batch has already ended.")


@transaction.atomic
def retry_failed(batch: Batch) -> int:
    """Let the lines that failed, and those never asked, be asked; return how many."""
    # A holder means that a worker is still stopping what ran.
    locked = Batch.objects.select_for_update().filter(pk=batch.pk).free()
    if not locked.filter(state__in=ENDED).exists():
        raise BatchNotReady("The batch is still running; wait for its end, or cancel it.")
    failed = BatchLine.objects.filter(batch=batch).exclude(status_code=OK)
    failed.filter(status_code__isnull=False).update(result=None, status_code=None)
    count = BatchLine.objects.filter(batch=batch, status_code=None).count()
    if count:
        again = Batch.objects.filter(pk=batch.pk)
        again.update(state=BatchState.WAITING, finished_at=None, finalizing_at=None, counts=None)
        again.of_api().update(expires_at=timezone.now() + WINDOW)
    return count


def remove_old_lines() -> int:
    """Remove the lines of programs' batches whose files are not kept any more; return how many."""
    before = timezone.now() - timedelta(days=settings.FILE_DAYS)
    old = Batch.objects.of_api().exclude(state__in=UNFINISHED).filter(finished_at__lt=before)
    count = BatchLine.objects.filter(batch__in=old).delete()[0]
    old.exclude(bytes=0).update(bytes=0)
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
