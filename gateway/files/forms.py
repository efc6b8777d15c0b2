"""The form of an upload, read from the disk by Django's own parser."""

from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import msgspec
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters

from core.errors import AppError, InvalidRequest
from gateway.errors import UnknownParameter, UnsupportedParameter
from gateway.models import FilePurpose

FORM = "multipart/form-data"
AROUND = 100_000  # bytes of a form beside the file
TAIL = 1000  # bytes at the end of a form, in which it must be closed
SHORTEST, LONGEST = 3600, 30 * 24 * 3600  # seconds that a file can be kept
EXPIRY = ("expires_after[anchor]", "expires_after[seconds]")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody has sent, and how long it is to be kept at most."""

    file: "UploadedFile[Any]"  # generic for mypy only
    seconds: int | None


def read(body: BinaryIO, content_type: str) -> Upload:
    """Return what a form has; raise an error that names the field."""
    fields, files = _parsed(body, content_type)
    try:
        return _checked(fields, files)
    except AppError:
        for _, some in files.lists():
            for file in some:
                file.close()
        raise


def _checked(fields: Any, files: Any) -> Upload:
    for name in [*fields, *files]:
        if name not in ("file", "purpose", *EXPIRY):
            raise UnknownParameter(f"There is no parameter `{name[:100]}`.", param=name[:100])
    _check_purpose(fields.get("purpose"))
    seconds = _seconds(fields)
    if len(files.getlist("file")) != 1:
        text = "Send one `file`, with a file name." if files else "`file` is missing."
        raise InvalidRequest(text, param="file")
    file = files["file"]
    if not file.size:
        raise InvalidRequest("The file is empty.", param="file")
    if file.size > settings.MAX_FILE_BYTES:
        raise InvalidRequest(
            f"The file is larger than {settings.MAX_FILE_BYTES} bytes.", param="file"
        )
    return Upload(file, seconds)


def _parsed(body: BinaryIO, content_type: str) -> tuple[Any, Any]:
    kind, boundary = _kind_of(content_type)
    if kind.lower() != FORM or not boundary:
        raise InvalidRequest(f"Send a form: `Content-Type: {FORM}`, with a boundary.")
    size = body.seek(0, 2)
    body.seek(max(0, size - TAIL))
    if f"--{boundary}--".encode() not in body.read():
        raise InvalidRequest("The form is not closed: its last boundary is missing.")
    body.seek(0)
    about = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": size}
    try:
        return MultiPartParser(about, cast(Any, body), [TemporaryFileUploadHandler()]).parse()
    except (MultiPartParserError, SuspiciousOperation) as error:
        raise InvalidRequest(f"The form cannot be read: {error}.") from None


def _kind_of(content_type: str) -> tuple[str, str]:
    """Return what the body is said to be, and where its parts end."""
    try:
        kind, parameters = parse_header_parameters(content_type)
    except ValueError:  # a character set that nobody has
        return "", ""
    return kind, parameters.get("boundary", "")


def _check_purpose(purpose: str | None) -> None:
    if purpose is None:
        raise InvalidRequest("`purpose` is missing.", param="purpose")
    if purpose != FilePurpose.BATCH:
        raise UnsupportedParameter(
            f"Parley keeps files for batches only: `purpose` must be `{FilePurpose.BATCH}`.",
            param="purpose",
        )


def _seconds(fields: Any) -> int | None:
    anchor, seconds = map(fields.get, EXPIRY)
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise InvalidRequest(f"`{EXPIRY[0]}` must be `created_at`.", param=EXPIRY[0])
    try:
        found = msgspec.convert(seconds, int, strict=False)
    except msgspec.ValidationError:
        found = 0
    if not SHORTEST <= found <= LONGEST:
        text = f"`{EXPIRY[1]}` is a number from {SHORTEST} to {LONGEST}."
        raise InvalidRequest(text, param=EXPIRY[1])
    return found
