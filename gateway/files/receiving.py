"""An upload on its way in: onto the disk as it comes, and never whole in memory."""

import asyncio
import tempfile
import time
from typing import BinaryIO

from asgiref.sync import sync_to_async

from core.errors import AppError
from core.request_id import Receive
from gateway.errors import BodyTooLarge
from gateway.http import ClientLeft

PIECE = 1_000_000  # bytes that gather before they are written
IDLE_SECONDS = 60.0  # without anything
LONGEST_SECONDS = 3600.0  # for all of it
PATIENCE = 2  # times the limit that is thrown away: who still sends when we hang up sees no answer


class UploadStopped(AppError):
    """Nothing more came of an upload that had begun."""

    code = "upload_timeout"
    http_status = 408


async def receive_into_file(receive: Receive, limit: int) -> BinaryIO:
    """Return the body as a file that is gone when it is closed, also by a crash.

    Raises `BodyTooLarge`, `UploadStopped` and `ClientLeft`.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    try:
        await _copy(receive, file, limit)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


async def _copy(receive: Receive, file: BinaryIO, limit: int) -> None:
    write = sync_to_async(file.write, thread_sensitive=False)
    gathered = bytearray()
    size, has_more = 0, True
    deadline = time.monotonic() + LONGEST_SECONDS
    while has_more and size <= limit * PATIENCE:
        part, has_more = await _next(receive, deadline)
        size += len(part)
        if size <= limit:
            gathered += part
        if len(gathered) >= PIECE:
            await write(bytes(gathered))
            gathered.clear()
    if size > limit:
        raise BodyTooLarge(f"The upload is larger than {limit} bytes.")
    await write(bytes(gathered))


async def _next(receive: Receive, deadline: float) -> tuple[bytes, bool]:
    wait = min(IDLE_SECONDS, deadline - time.monotonic())
    try:
        async with asyncio.timeout(wait):
            message = await receive()
    except TimeoutError:
        raise UploadStopped("The upload stopped before its end.") from None
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message.get("body", b""), message.get("more_body", False)
