"""What came of a program's batch, written into files when no line is asked any more."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO
from uuid import UUID

from django.core.files import File as Content
from django.db import transaction
from django.utils import timezone

from core.database import translate_outage
from gateway import public_ids
from gateway.batches import lines
from gateway.models import OK, Batch, BatchLine, BatchState, File, FilePurpose

AT_ONCE = 100  # rows
NAMES = ("output", "errors")


def write(batch: Batch, holder: UUID) -> None:
    """Write the results in the order of the lines, and end the batch."""
    with ExitStack() as stack, translate_outage():
        output = stack.enter_context(tempfile.TemporaryFile())
        errors = stack.enter_context(tempfile.TemporaryFile())
        found = _sort(batch, output, errors)
        files = [_file(batch, output, "output"), _file(batch, errors, "errors")]
        _end(batch, holder, found, files)


def _sort(batch: Batch, output: BinaryIO, errors: BinaryIO) -> Counter[str]:
    """Write each line where it belongs; return how many were completed, failed and unasked."""
    found: Counter[str] = Counter()
    for line in _lines(batch):
        if line.status_code == OK:
            found["completed"] += 1
            output.write(f"{line.result}\n".encode())
        elif line.status_code is not None:
            found["failed"] += 1
            errors.write(f"{line.result}\n".encode())
        else:
            found["unasked"] += 1
            if batch.state == BatchState.FINALIZING:  # before all were asked
                name = f"{batch.run_name}{line.number}"
                errors.write(lines.unasked(line.custom_id, name, batch.errors) + b"\n")
    return found


def _lines(batch: Batch) -> Iterator[BatchLine]:
    last = 0
    rows = BatchLine.objects.filter(batch_id=batch.pk).order_by("number").defer("body")
    while page := list(rows.filter(number__gt=last)[:AT_ONCE]):
        yield from page
        last = page[-1].number


def _key(batch: Batch, name: str) -> UUID:
    """Return a file's key. It comes from the batch: who writes it again writes the same file."""
    return UUID(int=batch.public_id.int ^ (1 + NAMES.index(name)))


def _file(batch: Batch, written: BinaryIO, name: str) -> File | None:
    """Put what was written into the storage; `None` where that is nothing."""
    size = written.tell()
    file = File(
        pk=_key(batch, name),
        organization_id=batch.organization_id,
        user_id=batch.user_id,
        api_key_id=batch.api_key_id,
        name=f"{public_ids.shown('batch_', batch.public_id)}_{name}.jsonl",
        bytes=size,
        purpose=FilePurpose.BATCH_OUTPUT,
    )
    path = file.content.field.generate_filename(file, file.name)
    file.content.storage.delete(path)
    if not size:
        return None
    written.seek(0)
    file.content.save(file.name, Content(written), save=False)
    return file


@transaction.atomic
def _end(batch: Batch, holder: UUID, found: Counter[str], files: list[File | None]) -> None:
    held = Batch.objects.filter(pk=batch.pk, lease_holder=holder, state=batch.state)
    output, errors = files
    batch.bytes = _bytes_left(batch, files) if found else 0
    is_ended = held.update(
        state=_end_state(batch, found),
        finished_at=timezone.now(),
        output_file_id=output.pk if output else None,
        error_file_id=errors.pk if errors else None,
        bytes=batch.bytes,
        counts={
            "total": found.total(),
            "completed": found["completed"],
            "failed": found["failed"],
        },
    )
    if is_ended:
        File.objects.filter(pk__in=[_key(batch, name) for name in NAMES]).delete()
        for file in filter(None, files):
            file.save(force_insert=True)


def _end_state(batch: Batch, found: Counter[str]) -> BatchState:
    if batch.state == BatchState.CANCELLING:
        return BatchState.CANCELLED
    if batch.errors:
        return BatchState.FAILED
    return BatchState.EXPIRED if found["unasked"] else BatchState.FINISHED


def _bytes_left(batch: Batch, files: list[File | None]) -> int:
    """Return what the lines take with their results, which the files count a second time."""
    return max(0, batch.bytes - sum(file.bytes for file in files if file))
