"""`/v1/files`: upload, list, look at, fetch and delete."""

from typing import Any, BinaryIO

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings

from core.request_id import Receive
from gateway import paging, public_ids
from gateway.files import forms, services
from gateway.files.receiving import receive_into_file
from gateway.http import ApiConsumer
from gateway.models import File
from gateway.paging import FilePage

PIECE = 256 * 1024  # bytes that are read and sent at once

_page = msgspec.json.Decoder(FilePage, strict=False)
_encode = msgspec.json.Encoder().encode


class FileUpload(ApiConsumer):
    """`POST /v1/files`."""

    method = "POST"
    scope_needed = "batches"
    is_counted = True
    upload: BinaryIO

    async def read_body(self, receive: Receive, *, is_kept: bool) -> bytes:
        """Put the body on the disk as it comes."""
        if not is_kept:
            return await super().read_body(receive, is_kept=False)
        self.upload = await receive_into_file(receive, settings.MAX_FILE_BYTES + forms.AROUND)
        return b""

    async def handle(self, body: bytes) -> None:
        with self.upload:
            file = await sync_to_async(self._create, thread_sensitive=False)()
        await self.send_json(_encode(shown(file)), *self.limit_headers(self))

    def _create(self) -> File:
        upload = forms.read(self.upload, self.header(b"content-type"))
        with upload.file:
            return services.create(upload, self.principal)


class FileList(ApiConsumer):
    """`GET /v1/files`."""

    method = "GET"
    scope_needed = "batches"

    async def handle(self, body: bytes) -> None:
        asked = paging.asked(_page, self.scope["query_string"])
        after = paging.after_of("file-", asked.after)
        find = sync_to_async(services.page, thread_sensitive=False)
        files = await find(asked, after, self.principal)
        await self.send_json(paging.answer([shown(file) for file in files], asked.limit))


class OneFile(ApiConsumer):
    """What the addresses of one file share."""

    scope_needed = "batches"

    async def file(self) -> File:
        """Return the file that the address names; raise `NotFound`."""
        text = self.scope["url_route"]["kwargs"]["file_id"]
        return await sync_to_async(services.find, thread_sensitive=False)(text, self.principal)


class FileDetail(OneFile):
    """`GET /v1/files/{id}`."""

    method = "GET"

    async def handle(self, body: bytes) -> None:
        await self.send_json(_encode(shown(await self.file())))


class FileDelete(OneFile):
    """`DELETE /v1/files/{id}`."""

    method = "DELETE"

    async def handle(self, body: bytes) -> None:
        file = await self.file()
        await sync_to_async(services.delete, thread_sensitive=False)(file)
        deleted = {"id": public_ids.shown("file-", file.pk), "object": "file", "deleted": True}
        await self.send_json(_encode(deleted))


class FileContent(OneFile):
    """`GET /v1/files/{id}/content`."""

    method = "GET"

    async def handle(self, body: bytes) -> None:
        file = await self.file()
        content = await sync_to_async(services.open_content, thread_sensitive=False)(file)
        read = sync_to_async(content.read, thread_sensitive=False)
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % file.bytes),
            (b"content-disposition", b'attachment; filename="%s.jsonl"' % file.pk.hex.encode()),
        ]
        try:
            piece = await read(PIECE)
            await self.send_headers(headers=headers)
            while piece:
                await self.send_body(piece, more_body=True)
                piece = await read(PIECE)
            await self.send_body(b"")
        finally:
            content.close()


def shown(file: File) -> dict[str, Any]:
    """Return a file as OpenAI has it."""
    return {
        "id": public_ids.shown("file-", file.pk),
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at.timestamp()),
        "expires_at": int(file.expires_at.timestamp()),
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }
