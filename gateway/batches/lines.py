"""The lines of a batch file, in and out, as OpenAI's Batch API has them."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, BinaryIO, Literal

import msgspec
from django.conf import settings
from msgspec import Meta, Raw, Struct

from core.errors import AppError, InvalidRequest
from gateway import errors
from gateway.batches import endpoints
from gateway.models import OK, Endpoint
from gateway.validation import BYTE_ORDER_MARK

LONGEST_ID = 200  # characters
AROUND = 2_000  # bytes of a line beside the body
BEGINNING = b'{"id":"batch_req_'  # of every result

CustomId = Annotated[
    str, Meta(min_length=1, max_length=LONGEST_ID, pattern=r"^[^\x00-\x1f\x7f]*\Z")
]


class Line(Struct, frozen=True, forbid_unknown_fields=True):
    """One request of a batch: a name of the caller's own, and the body of a call."""

    custom_id: CustomId
    body: Raw
    method: Literal["POST"] = "POST"
    url: Endpoint = Endpoint.CHAT


class Result(Struct, frozen=True):
    """What came of a line: a line of the file of results, without its line break."""

    custom_id: str
    text: bytes
    status_code: int
    code: str = ""  # of the error

    @property
    def is_failure(self) -> bool:
        return self.status_code != OK


class Response(Struct, frozen=True):
    status_code: int


class Written(Struct, frozen=True):
    """What is read again of a line of results."""

    id: str
    custom_id: str
    response: Response

    @property
    def is_failure(self) -> bool:
        return self.response.status_code != OK


_decode = msgspec.json.Decoder(Line).decode
_decode_written = msgspec.json.Decoder(Written).decode


def each(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, each with its number; never hold more than one.

    Raises `InvalidRequest` for one that is longer than the API takes.
    """
    longest = settings.MAX_BODY_BYTES + AROUND
    number = 0
    while text := file.readline(longest + 1):
        number += 1
        if len(text) > longest:
            raise InvalidRequest(f"Line {number} is longer than {longest} bytes.")
        if number == 1:
            text = text.removeprefix(BYTE_ORDER_MARK)
        if text.strip():
            yield number, text


def read(text: bytes) -> Line:
    """Return the line, or raise `InvalidRequest`; its body is read by `endpoints`."""
    try:
        line = _decode(text)
        line.custom_id.encode()  # half of a character can be read and not written
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidRequest(f"This is no line of a batch: {error}.") from None
    return line


class Checked:
    """What is known of a file when its lines have been looked at, one after the other."""

    def __init__(self, url: str = "") -> None:
        self.url = url  # of all lines; "": that of the first one
        self.seen: dict[str, int] = {}  # lines by `custom_id`

    def look_at(self, number: int, text: bytes) -> None:
        """Raise what is wrong with a line."""
        line = read(text)
        self.url = self.url or line.url
        if line.url != self.url:
            raise InvalidRequest(f"`url` must be {self.url}, as for all lines.", param="url")
        endpoints.check(line.url, bytes(line.body))
        if (first := self.seen.setdefault(line.custom_id, number)) != number:
            raise InvalidRequest(f"The `custom_id` is that of line {first}.", param="custom_id")


def check(file: BinaryIO) -> Checked:
    """Return what is known of a file; raise `InvalidRequest` for the first line that is wrong."""
    checked = Checked()
    for number, text in each(file):
        try:
            checked.look_at(number, text)
        except AppError as error:
            raise InvalidRequest(f"Line {number}: {error.message}", param=error.param) from None
    if not checked.seen:
        raise InvalidRequest("There is no line in it.")
    return checked


def answer(custom_id: str, request_id: str, body: bytes) -> Result:
    """Return the result of a request that was answered."""
    return Result(custom_id, _line(custom_id, request_id, OK, body), OK)


def refusal(custom_id: str, request_id: str, error: AppError) -> Result:
    """Return the result of a request that failed."""
    status = int(error.http_status)
    text = _line(custom_id, request_id, status, errors.body(error))
    return Result(custom_id, text, status, error.code)


def written(text: bytes) -> Written | None:
    """Return what a line of results says; `None` for what is none, or was cut off."""
    try:
        return _decode_written(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def may_be_cut_off(text: bytes) -> bool:
    """Return whether `text` can be the first half of a result."""
    return text.startswith(BEGINNING) or BEGINNING.startswith(text)


def problem(line: int | None, error: AppError) -> dict[str, Any]:
    """Return what is wrong with a batch, or with one of its lines, as OpenAI has it."""
    return {"code": error.code, "message": error.message, "param": error.param, "line": line}


def unasked(custom_id: str, request_id: str, problems: Sequence[dict[str, Any]]) -> bytes:
    """Return the line of a request that was not asked: for what the batch has, or for its time."""
    error = {
        "code": "batch_expired",
        "message": "This request was not asked before the batch's completion window ended.",
    }
    if problems:
        error = {name: problems[0][name] for name in error}
    return msgspec.json.encode(
        {
            "id": f"batch_req_{request_id}",
            "custom_id": custom_id,
            "response": None,
            "error": error,
        }
    )


def _line(custom_id: str, request_id: str, status: int, body: bytes) -> bytes:
    return msgspec.json.encode(
        {
            "id": f"batch_req_{request_id}",
            "custom_id": custom_id,
            "response": {
                "status_code": status,
                "request_id": request_id,
                # A vendor's own bytes may have line breaks, which a line must not.
                "body": Raw(msgspec.json.format(body, indent=-1)),
            },
            "error": None,
        }
    )
