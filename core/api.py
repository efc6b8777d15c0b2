"""What all of the REST API shares: failures as `{"error": {"code", "message", ...}}`, and pages."""

import re
from typing import Any

import django.core.exceptions
import django_filters
from django import forms
from django.db import DataError
from django_filters.widgets import BooleanWidget
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.fields import CharField
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_401_UNAUTHORIZED
from rest_framework.views import APIView, exception_handler

from core.database import AWAY, OUTAGES, is_zero_character
from core.errors import AppError, DependencyDown, InvalidRequest


class Words(CharField):
    """A text; a number is none."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Pages(CursorPagination):
    """Pages that stay right while rows come and go; `page_size` says how long, up to 500."""

    page_size_query_param: str = "page_size"
    max_page_size = 500

    def get_page_size(self, request: Request) -> int | None:
        """Return how long pages are; raise `InvalidRequest` for what is no length."""
        asked = request.query_params.getlist(self.page_size_query_param)
        if not all(re.fullmatch("0*[1-9][0-9]{0,99}", one) for one in asked):
            raise InvalidRequest("`page_size` is a number above 0.", param="page_size")
        return super().get_page_size(request)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Describe the parameters, with what `page_size` may be."""
        described: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for parameter in described:
            if parameter["name"] == self.page_size_query_param:
                parameter["schema"] = {"type": "integer", "minimum": 1}
                parameter["description"] = f"How many at most; above {self.max_page_size} as that."
        return described

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        """Return a page; a cursor that somebody has made up is refused, not looked for."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (django.core.exceptions.ValidationError, ValueError, DataError) as error:
            raise NotFound(self.invalid_cursor_message) from error


class NewestFirst(Pages):
    ordering = ["-created_at", "-pk"]


class ByName(Pages):
    ordering = ["name", "pk"]


class _AsSent(BooleanWidget):
    """Leaves what is no boolean as it was sent, for the field to refuse."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        found = super().value_from_datadict(data, files, name)
        return data.get(name) if found is None else found


class _TrueOrFalse(forms.NullBooleanField):
    widget = _AsSent

    def to_python(self, value: Any) -> bool | None:  # type: ignore[override]  # as it is in Django
        if value in ("", None):
            return None
        if isinstance(value, bool):
            return value
        raise forms.ValidationError("It is true or false.")


class BooleanFilter(django_filters.BooleanFilter):
    """A filter by true or false, which refuses anything else instead of leaving it out."""

    field_class = _TrueOrFalse


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer expected failures in one shape; `None` for a fault of ours, which Django reports."""
    if isinstance(error, OUTAGES):
        error = DependencyDown(AWAY)
    if isinstance(error, RecursionError):
        error = InvalidRequest("The body has too much within each other.")
    if is_zero_character(error):
        error = InvalidRequest("A zero character can be in no name.")
    if isinstance(error, AppError):
        return _app_error(error)
    response = exception_handler(error, context)
    if response is not None:
        response.data = {"error": _described(error, response.data)}
    return response


def _app_error(error: AppError) -> Response:
    body = {"code": error.code, "message": error.message, "param": error.param, **error.details}
    sendable = {name: text and _sendable(text) for name, text in body.items()}
    response = Response({"error": sendable}, status=error.http_status)
    if response.status_code == HTTP_401_UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    if error.retry_after_header is not None:
        response["Retry-After"] = error.retry_after_header
    return response


def _sendable(text: str) -> str:
    """Return the text; half of a character, of which somebody made a name, becomes a mark."""
    return text.encode(errors="replace").decode()


def _described(error: Exception, details: Any) -> dict[str, Any]:
    """Return a failure that DRF itself has found, as ours are told."""
    if isinstance(error, ValidationError):
        return {"code": "invalid_request", "message": "Some fields are wrong.", "fields": details}
    code = error.default_code if isinstance(error, APIException) else "not_found"
    return {"code": code, "message": str(details.get("detail", error))}
