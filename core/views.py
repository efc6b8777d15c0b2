"""Whether this process serves, and what is said where there is nothing or something broke."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

API = "/api/"  # whoever asks below it reads JSON


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process runs; whether its services do is another question."""
    return JsonResponse({"status": "ok"})


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 with a page, or to a program in the shape of the REST API."""
    if request.path.startswith(API):
        return _failure("not_found", "There is nothing here.", HTTPStatus.NOT_FOUND)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 in the same way; the log has the details."""
    if request.path.startswith(API):
        text = "Something went wrong in Parley. Its log has the details."
        return _failure("internal_error", text, HTTPStatus.INTERNAL_SERVER_ERROR)
    return defaults.server_error(request)


def _failure(code: str, message: str, status: HTTPStatus) -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)
