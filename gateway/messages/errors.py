"""Failures in Anthropic's shape: what its clients read, raise and, where it makes sense, retry."""

from http import HTTPStatus

import msgspec

from core import request_id
from core.errors import AppError

# By status, as Anthropic's documentation has them.
TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "billing_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.SERVICE_UNAVAILABLE: "overloaded_error",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
}


def body(error: AppError) -> bytes:
    """Return `{"type": "error", "error": {"type", "message", "details"}, "request_id"}`."""
    param = {"param": error.param} if error.param else {}
    return msgspec.json.encode(
        {
            "type": "error",
            "error": {
                "type": _type(error.http_status),
                "message": error.message,
                "details": {"error_code": error.code, **param, **error.details},
            },
            "request_id": request_id.current(),
        }
    )


def event(error: AppError) -> bytes:
    """Return the event of a stream that broke: the clients raise, and no `message_stop` follows."""
    return b"event: error\ndata: " + body(error) + b"\n\n"


def _type(status: int) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TYPES.get(HTTPStatus(status), "api_error")
    return TYPES.get(HTTPStatus(status), "invalid_request_error")
