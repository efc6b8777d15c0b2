"""Tables as files."""

from django.http import HttpResponse


def csv_response(name: str, text: str) -> HttpResponse:
    """Return the text as a file to keep; `name` is without its ending."""
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    file_name = name.replace(" ", "-")
    response["Content-Disposition"] = f'attachment; filename="parley-{file_name}.csv"'
    response["Cache-Control"] = "no-store, private"
    return response
