"""Failures in OpenAI's shape: what its clients read, raise and, where it makes sense, retry."""

import math
from http import HTTPStatus

import msgspec

from core.errors import AppError
from llm.errors import UnsupportedParameter

__all__ = [
    "JSON",
    "BodyTooLarge",
    "Headers",
    "InternalError",
    "MethodNotAllowed",
    "UnknownAddress",
    "UnknownParameter",
    "UnsupportedEncoding",
    "UnsupportedParameter",
    "body",
    "headers",
]

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")

# By status, because that is what the clients choose their exception by.
TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "insufficient_quota",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}


# To come back in a moment does not help, although some clients would.
IN_VAIN = (HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT)


class UnknownParameter(AppError):
    """Refused rather than ignored: a misspelt `max_tokens` would cost money."""

    code = "unknown_parameter"
    http_status = HTTPStatus.BAD_REQUEST


class UnknownAddress(AppError):
    code = "unknown_url"
    http_status = HTTPStatus.NOT_FOUND


class MethodNotAllowed(AppError):
    code = "method_not_allowed"
    http_status = HTTPStatus.METHOD_NOT_ALLOWED


class BodyTooLarge(AppError):
    code = "request_too_large"
    http_status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedEncoding(AppError):
    code = "unsupported_content_encoding"
    http_status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class InternalError(AppError):
    """A mistake of ours; the log has the details under the request's id."""

    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("Something went wrong in Parley. Its log has the details.")


def body(error: AppError) -> bytes:
    """Return `{"error": {"message", "type", "param", "code", ...}}`."""
    return msgspec.json.encode(
        {
            "error": {
                "message": error.message,
                "type": _type(error.http_status),
                "param": error.param,
                "code": error.code,
                **error.details,
            }
        }
    )


def headers(error: AppError) -> Headers:
    """Return the headers that go with the status: when to come back, how to sign in."""
    found: Headers = [JSON]
    if error.retry_after_header is not None:
        found.append((b"retry-after", error.retry_after_header.encode()))
    if error.http_status == HTTPStatus.TOO_MANY_REQUESTS and error.retry_after is not None:
        # The official clients read this first, and it is exact.
        found.append((b"retry-after-ms", b"%d" % max(1, math.ceil(error.retry_after * 1000))))
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        found.append((b"www-authenticate", b"Bearer"))
    if error.http_status in IN_VAIN:
        # Clients that would come again all the same: the official ones obey.
        found.append((b"x-should-retry", b"false"))
    return found


def _type(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error"
    return TYPES.get(HTTPStatus(status), "invalid_request_error")
