"""The batches of programs: made of a file, looked at, listed and cancelled by who made them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts.principal import Principal
from core.database import translate_outage
from core.errors import AppError, InvalidRequest, NotFound
from gateway import paging, public_ids
from gateway.batches import services
from gateway.batches.services import WINDOW
from gateway.batches.wire import BatchRequest
from gateway.files import services as files
from gateway.models import Batch, BatchState, FilePurpose
from gateway.paging import Page

LONGEST_NAME = 100
MOST_UNFINISHED = 100  # of an organization


class TooManyBatches(AppError):
    """The organization has as many batches at work as it may."""

    code = "too_many_batches"
    http_status = 429


def create(asked: BatchRequest, principal: Principal, tags: Sequence[str]) -> Any:
    """Make a batch of a file; the worker looks at its lines, and asks them."""
    with translate_outage():
        try:
            file = files.find(asked.input_file_id, principal)
        except NotFound as error:
            raise InvalidRequest(error.message, param="input_file_id") from None
        if file.purpose != FilePurpose.BATCH:
            raise InvalidRequest(
                f"The file's purpose is `{file.purpose}`; `{FilePurpose.BATCH}` is needed.",
                param="input_file_id",
            )
        _check_count(principal)
        files.check_room(file.bytes, principal.organization_id, param="input_file_id")
        batch = Batch.objects.create(
            name=file.name[:LONGEST_NAME],
            organization_id=principal.organization_id,
            user_id=principal.user_id,
            api_key_id=principal.api_key_id,
            state=BatchState.VALIDATING,
            endpoint=asked.endpoint,
            input_file_id=file.pk,
            bytes=file.bytes,
            metadata=asked.metadata or {},
            tags=list(tags),
            expires_at=timezone.now() + WINDOW,
        )
        return Batch.objects.counted().get(pk=batch.pk)


def find(text: str, principal: Principal) -> Any:
    """Return the batch of that id; raise `NotFound`, also for what is somebody else's."""
    with translate_outage():
        key = public_ids.read("batch_", text)
        mine = Batch.objects.visible_to(principal).counted()
        found = mine.filter(public_id=key).first() if key else None
        if found is None:
            raise NotFound(f"There is no batch {text[:100]!r}.", param="batch_id")
        return found


def page(asked: Page, after: UUID | None, principal: Principal) -> Sequence[Any]:
    """Return the batches of a page, and one more where there are more."""
    with translate_outage():
        mine = Batch.objects.visible_to(principal).counted()
        return paging.rows(mine, "public_id", after, limit=asked.limit)


def cancel(text: str, principal: Principal) -> Any:
    """Let no further line be asked; raise `NotFound`, or `BatchNotReady` where it has ended.

    To say it a second time changes nothing.
    """
    batch = find(text, principal)
    if batch.state != BatchState.CANCELLING:
        with translate_outage():
            services.cancel(batch)
    return find(text, principal)


def _check_count(principal: Principal) -> None:
    mine = Batch.objects.of_api().filter(organization_id=principal.organization_id)
    if mine.unfinished().count() >= MOST_UNFINISHED:
        raise TooManyBatches(
            f"Your organization has {MOST_UNFINISHED} batches that have not ended: "
            "wait for some, or cancel them."
        )
