"""The file of a program's batch: looked at by the worker, and made into lines."""

from collections.abc import Sequence
from typing import Any, BinaryIO, cast
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from core.database import translate_outage
from core.errors import AppError, InvalidRequest
from gateway.batches import leases, lines, services
from gateway.batches.lines import Checked
from gateway.batches.services import MOST_LINES
from gateway.models import Batch, BatchState, File

logger = structlog.get_logger(__name__)

MOST_ERRORS = 100  # that are told


def validate(batch: Batch, holder: UUID) -> bool:
    """Make the lines of the batch; where its file is wrong, end it, and return `False`."""
    with translate_outage():
        file = File.objects.filter(pk__in=[batch.input_file_id]).first()
        try:
            if file is None:
                raise FileNotFoundError
            with file.content.open("rb") as content:
                opened = cast(BinaryIO, content)
                errors = errors_of(opened, batch.endpoint)
                return _save(batch, holder, opened) if not errors else _fail(batch, holder, errors)
        except FileNotFoundError:
            text = "The file of the batch was deleted before it was read."
            return _fail(
                batch, holder, [lines.problem(None, InvalidRequest(text, param="input_file_id"))]
            )


def errors_of(file: BinaryIO, url: str) -> Sequence[dict[str, Any]]:
    """Return what is wrong with a file, each with its line, as far as it is told."""
    checked, errors = Checked(url), []
    count = number = 0
    try:
        for number, text in lines.each(file):
            count += 1
            if count > MOST_LINES:
                raise InvalidRequest(f"The file has more than {MOST_LINES} lines.")
            try:
                checked.look_at(number, text)
            except AppError as error:
                errors.append(lines.problem(number, error))
                if len(errors) == MOST_ERRORS:
                    return errors
    except AppError as error:  # nothing after this can be read
        return [*errors, lines.problem(number + 1 if count <= MOST_LINES else None, error)]
    return (
        errors if count else [lines.problem(None, InvalidRequest("There is no line in the file."))]
    )


@transaction.atomic
def _save(batch: Batch, holder: UUID, file: BinaryIO) -> bool:
    services.add_lines(batch, file)
    is_held = leases.validated(batch, holder)
    if not is_held:  # cancelled meanwhile, or somebody else's
        transaction.set_rollback(True)
    return is_held


def _fail(batch: Batch, holder: UUID, errors: Sequence[dict[str, Any]]) -> bool:
    logger.info("gateway.batch_refused", batch=batch.pk, errors=len(errors))
    batch.bytes = 0
    Batch.objects.filter(pk=batch.pk, lease_holder=holder, state=BatchState.VALIDATING).update(
        state=BatchState.FAILED, errors=errors, bytes=0, finished_at=timezone.now()
    )
    return False
