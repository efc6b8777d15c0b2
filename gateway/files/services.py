"""Every read and write of files; the content goes to Django's storage."""

from collections.abc import Sequence
from datetime import timedelta
from typing import BinaryIO, cast
from uuid import UUID

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from accounts.principal import Principal
from core.database import translate_outage
from core.errors import InvalidRequest, NotFound
from gateway import paging, public_ids
from gateway.files.forms import Upload
from gateway.models import Batch, File, FilePurpose
from gateway.paging import FilePage

LONGEST_NAME = 255
AT_ONCE = 100  # files that are removed in one go


class StorageFull(InvalidRequest):
    """The organization's files take as much room as they may."""

    code = "storage_full"


def create(upload: Upload, principal: Principal) -> File:
    """Keep what was uploaded; raise `StorageFull`."""
    with translate_outage():
        size = upload.file.size or 0
        check_room(size, principal.organization_id)
        now = timezone.now()
        days = timedelta(days=settings.FILE_DAYS)
        asked = timedelta(seconds=upload.seconds) if upload.seconds else days
        file = File(
            organization_id=principal.organization_id,
            user_id=principal.user_id,
            api_key_id=principal.api_key_id,
            name=(upload.file.name or "")[:LONGEST_NAME],
            bytes=size,
            created_at=now,
            expires_at=now + min(days, asked),
        )
        file.content.save(file.name, upload.file, save=False)
        try:
            file.save(force_insert=True)
        except BaseException:
            file.content.delete(save=False)
            raise
        return file


def find(text: str, principal: Principal) -> File:
    """Return the file of that id; raise `NotFound`, also for what is somebody else's."""
    with translate_outage():
        key = public_ids.read("file-", text)
        found = File.objects.visible_to(principal).filter(pk=key).first() if key else None
        if found is None:
            raise NotFound(f"There is no file {text[:100]!r}.", param="file_id")
        return found


def page(asked: FilePage, after: UUID | None, principal: Principal) -> Sequence[File]:
    """Return the files of a page, and one more where there are more."""
    with translate_outage():
        found = File.objects.visible_to(principal)
        if asked.purpose is not None:
            found = found.filter(purpose__in={*FilePurpose.values} & {asked.purpose})
        if asked.order == "asc":
            found = found.filter(pk__gt=after) if after else found
            return list(found.order_by("pk")[: asked.limit + 1])
        return paging.rows(found, "pk", after, limit=asked.limit)


def open_content(file: File) -> BinaryIO:
    """Return the content, to be closed by the caller; raise `NotFound`."""
    try:
        return cast(BinaryIO, file.content.storage.open(str(file.content.name), "rb"))
    except FileNotFoundError:
        raise NotFound("The content of the file has been deleted.", param="file_id") from None


def delete(file: File) -> None:
    """Remove a file. Its content goes first: what is left by a crash can be deleted again."""
    with translate_outage():
        file.content.storage.delete(str(file.content.name))
        File.objects.filter(pk=file.pk).delete()


def remove_expired() -> int:
    """Remove files whose time is over; return how many."""
    total = 0
    while some := list(File.objects.expired().order_by("expires_at")[:AT_ONCE]):
        for file in some:
            delete(file)
        total += len(some)
    return total


def check_room(size: int, organization_id: int, *, param: str = "file") -> None:
    """Raise `StorageFull` where an organization has no room for so many bytes more."""
    used = sum(
        kind.filter(organization_id=organization_id).aggregate(total=Sum("bytes"))["total"] or 0
        for kind in (File.objects.all(), Batch.objects.all())
    )
    if used + size > settings.MAX_FILES_BYTES:
        raise StorageFull(
            f"Your organization's files and batches have {used} of {settings.MAX_FILES_BYTES} "
            "bytes: delete files that you need no more.",
            param=param,
        )
