"""Whether this process serves, and what is said where there is nothing or something broke."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views import csrf, defaults

from core.database import AWAY, OUTAGES
from core.errors import DependencyDown

API = "/api/"  # whoever asks below it reads JSON


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process runs; whether its services do is another question."""
    return JsonResponse({"status": "ok"})


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 with a page, or to a program in the shape of the REST API."""
    if request.path.startswith(API):
        return _failure("not_found", "There is nothing here.", HTTPStatus.NOT_FOUND)
    return _about_visitor(request, partial(defaults.page_not_found, request, exception))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403 with a page."""
    return _about_visitor(request, partial(defaults.permission_denied, request, exception))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 in the same way; the log has the details."""
    if request.path.startswith(API):
        text = "Something went wrong in Parley. Its log has the details."
        return _failure("internal_error", text, HTTPStatus.INTERNAL_SERVER_ERROR)
    return defaults.server_error(request)


def unavailable(request: HttpRequest, error: DependencyDown) -> HttpResponse:
    """Answer 503 and when to come again, with a page that needs no database."""
    response = _unavailable(request, error)
    response["Retry-After"] = error.retry_after_header or "1"
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer 403 with a page about a form that has expired."""
    return _about_visitor(request, partial(csrf.csrf_failure, request, reason))


def _about_visitor(request: HttpRequest, page: Callable[[], HttpResponse]) -> HttpResponse:
    """Return a page that says who is signed in, or that the database cannot be asked who it is."""
    try:
        return page()
    except OUTAGES:
        return unavailable(request, DependencyDown(AWAY))


def _unavailable(request: HttpRequest, error: DependencyDown) -> HttpResponse:
    if request.path.startswith(API):
        return _failure(error.code, error.message, HTTPStatus.SERVICE_UNAVAILABLE)
    # Without the request: what is known of a visitor is in the database.
    page = render_to_string("503.html", {"is_form": request.method not in ("GET", "HEAD")})
    return HttpResponse(page, status=HTTPStatus.SERVICE_UNAVAILABLE)


def _failure(code: str, message: str, status: HTTPStatus) -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)
