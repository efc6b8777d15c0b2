"""How Django REST framework tells of a failure: `{"error": {"code", "message", ...}}`."""

from typing import Any

from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.status import HTTP_401_UNAUTHORIZED
from rest_framework.views import exception_handler

from core.errors import AppError


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer expected failures in one shape; `None` for a fault of ours, which Django reports."""
    if isinstance(error, AppError):
        return _app_error(error)
    response = exception_handler(error, context)
    if response is not None:
        response.data = {"error": _described(error, response.data)}
    return response


def _app_error(error: AppError) -> Response:
    body = {"code": error.code, "message": error.message, "param": error.param, **error.details}
    response = Response({"error": body}, status=error.http_status)
    if response.status_code == HTTP_401_UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if error.retry_after_header is not None:
        response["Retry-After"] = error.retry_after_header
    return response


def _described(error: Exception, details: Any) -> dict[str, Any]:
    """Return a failure that DRF itself has found, as ours are told."""
    if isinstance(error, ValidationError):
        return {"code": "invalid_request", "message": "Some fields are wrong.", "fields": details}
    code = error.default_code if isinstance(error, APIException) else "not_found"
    return {"code": code, "message": str(details.get("detail", error))}
