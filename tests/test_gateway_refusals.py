"""Bad input, wrong keys, empty budgets: a clear error in OpenAI's shape, and nothing lost."""

import gzip
import json
import time
from collections.abc import Iterator
from decimal import Decimal

import httpx2
import openai
import pytest

from accounts import keys
from billing.models import Budget, UsageRecord
from tests.gateway import MESSAGES, Program, program
from tests.servers import Site
from tests.vendor import FakeVendor

pytestmark = pytest.mark.processes


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def refusal(response: httpx2.Response) -> tuple[int, str, str, str | None]:
    """Return the status and what OpenAI's clients read of an error: type, code, parameter."""
    error = response.json()["error"]
    assert error["message"]
    return response.status_code, error["type"], error["code"], error["param"]


def test_a_body_that_is_not_json(caller: Program) -> None:
    response = caller.http.post("/chat/completions", content=b"{nonsense")

    assert refusal(response) == (400, "invalid_request_error", "invalid_request", None)
    assert not UsageRecord.objects.exists()


def test_a_compressed_body(caller: Program) -> None:
    body = gzip.compress(b'{"model": "m", "messages": []}')

    response = caller.http.post(
        "/chat/completions", content=body, headers={"Content-Encoding": "gzip"}
    )

    assert refusal(response) == (
        415,
        "invalid_request_error",
        "unsupported_content_encoding",
        "Content-Encoding",
    )
    assert not UsageRecord.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},  # curl, where nobody says
        {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "identity"},
    ],
)
def test_json_is_read_whatever_it_is_called(caller: Program, headers: dict[str, str]) -> None:
    body = json.dumps({"model": caller.model, "messages": MESSAGES}).encode()

    response = caller.http.post(
        "/chat/completions", content=b"\xef\xbb\xbf" + body, headers=headers
    )

    assert response.status_code == 200


def test_a_wrong_type_names_the_field(caller: Program) -> None:
    response = caller.post(messages=[{"role": "user", "content": 5}])

    assert refusal(response) == (
        400,
        "invalid_request_error",
        "invalid_request",
        "messages[0].content",
    )
    assert not UsageRecord.objects.exists()


def test_no_messages(caller: Program) -> None:
    response = caller.post(messages=[])

    assert refusal(response) == (400, "invalid_request_error", "invalid_request", "messages")
    assert not UsageRecord.objects.exists()


def test_an_unknown_model(caller: Program) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        caller.openai.chat.completions.create(model="nobody-has-this", messages=MESSAGES)

    assert caught.value.code == "model_not_found"


def test_a_body_of_ten_megabytes(caller: Program) -> None:
    response = caller.http.post("/chat/completions", content=b"x" * 10_000_000)

    assert refusal(response) == (413, "invalid_request_error", "request_too_large", None)
    assert not UsageRecord.objects.exists()


def test_a_body_without_a_length_is_limited_as_well(caller: Program) -> None:
    response = caller.http.post("/chat/completions", content=(b"x" * 100_000 for _ in range(100)))

    assert refusal(response) == (413, "invalid_request_error", "request_too_large", None)
    assert not UsageRecord.objects.exists()


@pytest.mark.parametrize(
    "header", [b"", b"Bearer", b"Basic abc", b"Bearer pk-wrong", b"Bearer \xe9"]
)
def test_no_key_or_a_wrong_one(site: Site, header: bytes) -> None:
    for path in ("models", "models/x", "nothing"):
        response = httpx2.get(f"{site.url}/v1/{path}", headers=[(b"Authorization", header)])

        assert refusal(response) == (401, "authentication_error", "invalid_api_key", None)
        assert not UsageRecord.objects.exists()
        assert response.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_stops_working_within_a_second(caller: Program) -> None:
    key, secret = keys.create(organization=caller.site.organization, name="short-lived")
    caller.http.headers["Authorization"] = f"Bearer {secret}"
    assert caller.http.get("/models").status_code == 200

    keys.revoke(key)
    time.sleep(1)
    response = caller.http.get("/models")

    assert refusal(response) == (401, "authentication_error", "invalid_api_key", None)
    assert not UsageRecord.objects.exists()


def test_a_budget_without_room(caller: Program) -> None:
    Budget.objects.update(is_active=False)
    Budget.objects.create(
        organization=caller.site.organization, name="Tiny", limit_usd=Decimal("0.000001")
    )

    response = caller.post()

    assert refusal(response) == (402, "insufficient_quota", "budget_exceeded", None)
    assert not UsageRecord.objects.exists()
    error = response.json()["error"]
    assert "Tiny" in error["message"]
    assert {"budget", "room_usd", "resets_at"} <= error.keys()
    assert caller.vendor.requests == []


def test_the_official_client_does_not_retry_a_budget_without_room(caller: Program) -> None:
    Budget.objects.update(limit_usd=Decimal(0))
    Budget.objects.create(organization=caller.site.organization, name="Tiny", limit_usd=Decimal(0))
    sent: list[httpx2.Request] = []

    with httpx2.Client(event_hooks={"request": [sent.append]}) as http:
        client = caller.openai.with_options(max_retries=5, http_client=http)
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(model=caller.model, messages=MESSAGES)

    assert (caught.value.status_code, caught.value.code) == (402, "budget_exceeded")
    assert len(sent) == 1


def test_a_wrong_method(caller: Program) -> None:
    response = caller.http.get("/chat/completions")

    assert refusal(response) == (405, "invalid_request_error", "method_not_allowed", None)
    assert not UsageRecord.objects.exists()
    assert response.headers["allow"] == "GET, POST"  # GET with an `Idempotency-Key`


def test_an_address_that_does_not_exist(caller: Program) -> None:
    response = caller.http.get("/nothing")

    assert refusal(response) == (404, "invalid_request_error", "unknown_url", None)
    assert not UsageRecord.objects.exists()


def test_the_request_id_comes_back(caller: Program) -> None:
    given = caller.http.get("/models", headers={"X-Request-ID": "order-7"})
    made = caller.http.get("/models")

    assert given.headers["x-request-id"] == "order-7"
    assert len(made.headers["x-request-id"]) == 32


def test_the_request_id_is_in_the_books(caller: Program) -> None:
    caller.http.headers["X-Request-ID"] = "order-8"

    caller.post()

    assert UsageRecord.objects.get().request_id == "order-8"
