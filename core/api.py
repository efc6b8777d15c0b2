"""How Django REST framework tells of an expected failure."""

from typing import Any

from rest_framework.response import Response
from rest_framework.status import HTTP_401_UNAUTHORIZED
from rest_framework.views import exception_handler

from core.errors import AppError


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an `AppError` as `{"error": {"code", "message", ...}}`; the rest as DRF does."""
    if not isinstance(error, AppError):
        return exception_handler(error, context)
    body = {"code": error.code, "message": error.message, "param": error.param, **error.details}
    response = Response({"error": body}, status=error.http_status)
    if response.status_code == HTTP_401_UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        response["Retry-After"] = str(max(1, round(error.retry_after)))
    return response
