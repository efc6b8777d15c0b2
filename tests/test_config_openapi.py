"""The OpenAPI document is right, tells of every address, and is shown without inline script."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver
from drf_spectacular.drainage import GENERATOR_STATS
from openapi_spec_validator import validate

from config.api_urls import urlpatterns as api_patterns
from config.docs import document
from gateway.methods import ByClient, ByMethod
from gateway.openapi import ONCE, OPERATIONS, Operation
from gateway.routing import http_urlpatterns

pytestmark = pytest.mark.django_db

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def described() -> Any:
    """Return the document as a client reads it."""
    document.cache_clear()
    GENERATOR_STATS.reset()
    return json.loads(json.dumps(document(), default=str))


def test_the_document_is_openapi_3_1(described: Any) -> None:
    assert described["openapi"] == "3.1.0"
    validate(described)


def test_nothing_had_to_be_guessed(described: Any) -> None:
    said = [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]

    assert said == []


def test_every_reference_leads_somewhere(described: Any) -> None:
    text = json.dumps(described)
    schemas = described["components"]["schemas"]
    found = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}

    assert found <= set(schemas)
    assert "\\\\Z" not in text  # Python's end of a text; elsewhere it is the letter


def test_it_is_served_to_whoever_asks(client: Client) -> None:
    response = client.get("/api/schema/")

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert "/v1/chat/completions" in response.json()["paths"]
    assert "/api/keys/" in response.json()["paths"]


def test_what_a_request_is_read_into_is_what_is_described(described: Any) -> None:
    completion = described["components"]["schemas"]["V1Completion"]

    assert completion["additionalProperties"] is False
    assert {"model", "messages", "stream", "tools"} <= set(completion["properties"])


def test_every_answer_may_be_a_failure_and_every_address_asks_who_it_is(described: Any) -> None:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert "default" in operation["responses"], f"{method} {path}"
            # Keys are kept by people, who sign in.
            way = "cookieAuth" if path.startswith("/api/keys/") else "key"
            assert {way: []} in operation["security"], f"{method} {path}"


def _consumers(pattern: URLPattern) -> list[Any]:
    """Return what answers at an address, each for a method or a client."""
    found: Any = pattern.callback
    if isinstance(found, ByMethod | ByClient):
        return list(found.consumers.values())
    return [found.consumer_class]


def _answering(pattern: URLPattern) -> dict[str, Any]:
    """Return what answers at an address, by method; an answer that is kept is read with GET."""
    consumers = _consumers(pattern)
    kept = [("GET", one) for one in consumers if one.is_made_once]
    return dict([*kept, *((one.method, one) for one in consumers)])


def _consumer_of(operation: Operation) -> Any:
    path = operation.path.lstrip("/").replace("{", "").replace("}", "")
    pattern = next(pattern for pattern in http_urlpatterns if pattern.resolve(path))
    return _answering(pattern)[operation.method.upper()]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_an_address_needs_the_scope_that_the_document_says(operation: Operation) -> None:
    assert _consumer_of(operation).scope_needed == operation.scope


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_an_address_heeds_an_idempotency_key_where_the_document_says_so(
    operation: Operation,
) -> None:
    takes_key = any(one.name == ONCE.name for one in operation.parameters)

    assert _consumer_of(operation).is_made_once is takes_key


def test_every_address_of_v1_is_described(described: Any) -> None:
    served = {
        f"{method} {_as_described('/', pattern)}"
        for pattern in http_urlpatterns
        for method, consumer in _answering(pattern).items()
        if consumer.__name__ != "Nothing"
    }

    assert served == _described(described, "/v1/")


def test_every_address_below_api_is_described(described: Any) -> None:
    served = {
        f"{method} {path}"
        for path, view in _views("/api/", api_patterns)
        for method in _methods_of_view(view)
    }

    assert served - _described(described, "/api/") == {"GET /api/schema/"}
    assert _described(described, "/api/") < served


def _described(document: Any, prefix: str) -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
        if path.startswith(prefix)
    }


def _as_described(prefix: str, pattern: URLPattern) -> str:
    """Return an address as the document writes it; a route or, of a router, an expression."""
    text = str(pattern.pattern)
    text = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", text)  # <str:name>
    text = re.sub(r"\(\?P\{(\w+)\}\[[^]]*\]\+\)", r"{\1}", text)  # (?P<name>[^/.]+)
    return prefix + text.removeprefix("^").removesuffix("$").replace("{pk}", "{id}")


def _views(prefix: str, patterns: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield each address below a prefix, and what answers there."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(prefix + str(pattern.pattern), pattern.url_patterns)
        else:
            yield _as_described(prefix, pattern), pattern.callback


def _methods_of_view(view: Any) -> set[str]:
    """Return the methods of a view of REST framework, but for those that only describe."""
    handled = getattr(view, "actions", None) or [one for one in METHODS if hasattr(view.cls, one)]
    allowed = METHODS & set(handled) & set(view.cls.http_method_names)
    return {method.upper() for method in allowed}


def test_the_page_runs_no_inline_script(client: Client) -> None:
    response = client.get("/docs")

    page = response.content.decode()
    assert response.status_code == 200
    assert "unsafe" not in response["Content-Security-Policy"]
    assert 'data-schema="/api/schema/"' in page
    assert "<script>" not in page
    assert "style=" not in page
    assert "//cdn" not in page
