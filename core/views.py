"""Whether this process serves."""

from django.http import HttpRequest, JsonResponse


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process runs; whether its services do is another question."""
    return JsonResponse({"status": "ok"})
