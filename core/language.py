"""The language that a person's browser asks for, as a tag like `de-AT`."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

HEADER = b"accept-language"


def of_scope(scope: dict[str, Any]) -> str:
    """Return the language that an ASGI connection asks for first; "" where it asks for none."""
    said = [str(value, "latin-1") for name, value in scope["headers"] if name == HEADER]
    return _first(said[0] if said else "")


def of_request(request: HttpRequest) -> str:
    """Return the language that a request to Django asks for first."""
    return _first(request.headers.get("Accept-Language", ""))


def _first(header: str) -> str:
    tags = [tag for tag, _ in parse_accept_lang_header(header) if tag != "*"]
    return tags[0] if tags else ""
