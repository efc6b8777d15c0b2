"""What is refused on Anthropic's wire: its official client raises the right class for each."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import pytest

from accounts import keys
from billing.models import Budget, UsageRecord
from core.errors import AppError, DependencyDown
from gateway.messages import errors
from llm.errors import NoDeployment, Overloaded, TimedOut
from llm.models import Limit, Scope
from tests.gateway import eventually
from tests.messages_support import HELLO, WEATHER, AnthropicProgram, anthropic_program
from tests.servers import Site
from tests.vendor import Answer, FakeVendor

pytestmark = pytest.mark.processes


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[AnthropicProgram]:
    with anthropic_program(site, vendor, "openai") as running:
        yield running


def refusal(caller: AnthropicProgram, **parameters: Any) -> anthropic.APIStatusError:
    with pytest.raises(anthropic.APIStatusError) as caught:
        caller.create(**parameters)
    return caught.value


def test_a_wrong_field_is_a_bad_request_that_names_it(caller: AnthropicProgram) -> None:
    error = refusal(caller, messages=[{"role": "user", "content": 5}])

    assert isinstance(error, anthropic.BadRequestError)
    assert (error.type, error.error_code) == ("invalid_request_error", "invalid_request")
    assert "messages[0].content" in str(error.api_message)
    assert error.request_id
    body: Any = error.body
    assert body["error"]["details"]["param"] == "messages[0].content"
    assert body["request_id"] == error.request_id


def test_a_wrong_key_and_none(caller: AnthropicProgram) -> None:
    error = refusal(caller, extra_headers={"X-Api-Key": "pk-wrong"})
    none = httpx2.post(f"{caller.site.url}/v1/messages", json={})

    assert isinstance(error, anthropic.AuthenticationError)
    assert (error.type, error.error_code) == ("authentication_error", "invalid_api_key")
    assert none.status_code == 401
    assert "x-api-key" in none.json()["error"]["message"]


def test_a_budget_without_room_is_not_tried_again(caller: AnthropicProgram) -> None:
    Budget.objects.update(is_active=False)
    Budget.objects.create(
        organization=caller.site.organization, name="Tiny", limit_usd=Decimal("0.000001")
    )
    sent: list[httpx2.Request] = []

    with httpx2.Client(event_hooks={"request": [sent.append]}) as http:
        client = caller.anthropic.with_options(max_retries=5, http_client=http)
        with pytest.raises(anthropic.PaymentRequiredError) as caught:
            client.messages.create(model=caller.model, max_tokens=5, messages=HELLO)

    assert caught.value.type == "billing_error"
    assert caught.value.error_code == "budget_exceeded"
    assert len(sent) == 1
    assert caller.vendor.requests == []


def test_a_key_for_something_else(caller: AnthropicProgram) -> None:
    key, secret = keys.create(organization=caller.site.organization, name="for embeddings")
    key.scopes = ["embeddings"]
    key.save()

    error = refusal(caller, extra_headers={"X-Api-Key": secret})

    assert isinstance(error, anthropic.PermissionDeniedError)
    assert error.type == "permission_error"


def test_an_unknown_model_and_an_unknown_address(caller: AnthropicProgram) -> None:
    error = refusal(caller, model="nobody-has-this")
    elsewhere = caller.http.get("/messages/batches")

    assert isinstance(error, anthropic.NotFoundError)
    assert (error.type, error.error_code) == ("not_found_error", "model_not_found")
    assert elsewhere.status_code == 404
    assert elsewhere.json()["error"]["type"] == "not_found_error"


def test_a_wrong_method(caller: AnthropicProgram) -> None:
    response = caller.http.get("/messages")

    assert response.status_code == 405
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_body_that_is_too_large(caller: AnthropicProgram) -> None:
    error = refusal(caller, system="x" * 5_000_000)

    assert isinstance(error, anthropic.ContentTooLargeError)
    body: Any = error.body
    assert body["error"]["type"] == "request_too_large"


def test_a_limit_says_when_to_come_back(caller: AnthropicProgram) -> None:
    Limit.objects.create(
        name="Trial",
        scope=Scope.ORGANIZATION,
        organization=caller.site.organization,
        requests=1,
        seconds=3600,
    )
    eventually(lambda: caller.post().status_code == 429)

    error = refusal(caller)

    assert isinstance(error, anthropic.RateLimitError)
    assert error.type == "rate_limit_error"
    assert float(error.response.headers["retry-after"]) > 0


def test_a_vendor_that_fails(caller: AnthropicProgram) -> None:
    caller.vendor.script(Answer(status=500))

    error = refusal(caller)

    assert isinstance(error, anthropic.InternalServerError)
    assert error.type == "api_error"


def test_a_vendor_without_room(caller: AnthropicProgram) -> None:
    caller.vendor.script(Answer(status=503))

    error = refusal(caller)

    assert isinstance(error, anthropic.ServiceUnavailableError)
    assert error.type == "overloaded_error"


def test_what_needs_anthropic_is_refused_by_name_elsewhere(caller: AnthropicProgram) -> None:
    thinking = refusal(caller, thinking={"type": "enabled", "budget_tokens": 1024})
    top_k = caller.post(top_k=5)

    assert thinking.error_code == "unsupported_parameter"
    assert "thinking" in str(thinking.api_message)
    assert top_k.json()["error"]["details"]["param"] == "top_k"
    assert caller.vendor.requests == []
    assert not UsageRecord.objects.exists()


def test_a_route_with_anthropic_somewhere_goes_there(
    caller: AnthropicProgram, spare: FakeVendor
) -> None:
    spare.serve(caller.model, kind="anthropic")
    eventually(lambda: caller.post(top_k=5).status_code == 200)

    assert caller.vendor.requests == []
    assert spare.requests[0].body["top_k"] == 5


@pytest.mark.parametrize("header", ["anthropic-workspace-id", "anthropic-user-profile-id"])
def test_a_header_that_would_be_without_effect_is_refused(
    caller: AnthropicProgram, header: str
) -> None:
    error = refusal(caller, extra_headers={header: "wrkspc_1"})

    assert isinstance(error, anthropic.BadRequestError)
    assert header in str(error.api_message)


def test_tools_that_a_vendor_runs_are_refused(caller: AnthropicProgram) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}

    error = refusal(caller, tools=[WEATHER, search])

    assert error.error_code == "unsupported_parameter"
    assert "tools[1].type" in str(error.api_message)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Overloaded("x"), "overloaded_error"),
        (NoDeployment("x"), "overloaded_error"),
        (DependencyDown("x"), "overloaded_error"),
        (TimedOut("x"), "timeout_error"),
        (AppError("x"), "api_error"),
    ],
)
def test_each_status_has_its_type(error: AppError, kind: str) -> None:
    assert f'"type":"{kind}"'.encode() in errors.body(error)
