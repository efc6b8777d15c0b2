"""The OpenAPI document is right, tells of every address, and is shown without inline script."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern
from drf_spectacular.drainage import GENERATOR_STATS
from openapi_spec_validator import validate

from config.docs import document
from gateway.methods import ByMethod
from gateway.openapi import ONCE, OPERATIONS, Operation
from gateway.routing import http_urlpatterns

pytestmark = pytest.mark.django_db


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
    """Return what answers at an address, each for a method."""
    found: Any = pattern.callback
    if isinstance(found, ByMethod):
        return list(found.consumers.values())
    return [found.consumer_class]


def _consumer_of(operation: Operation) -> Any:
    path = operation.path.lstrip("/").replace("{", "").replace("}", "")
    at = next(pattern for pattern in http_urlpatterns if pattern.resolve(path))
    [found] = [one for one in _consumers(at) if one.method.lower() == operation.method]
    return found


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_an_address_needs_the_scope_that_the_document_says(operation: Operation) -> None:
    assert _consumer_of(operation).scope_needed == operation.scope


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_an_address_heeds_an_idempotency_key_where_the_document_says_so(
    operation: Operation,
) -> None:
    assert _consumer_of(operation).is_made_once is (ONCE in operation.parameters)


def test_every_address_of_v1_is_described() -> None:
    served = {one for pattern in http_urlpatterns for one in _consumers(pattern)}
    described = {_consumer_of(operation) for operation in OPERATIONS}

    assert {one.__name__ for one in served - described} == {"Nothing"}


def test_the_page_runs_no_inline_script(client: Client) -> None:
    response = client.get("/docs")

    page = response.content.decode()
    assert response.status_code == 200
    assert "unsafe" not in response["Content-Security-Policy"]
    assert 'data-schema="/api/schema/"' in page
    assert "<script>" not in page
    assert "style=" not in page
    assert "//cdn" not in page
