"""`/v1/embeddings` as programs use it: the official client, and what other clients send."""

import base64
import struct
from collections.abc import Iterator

import httpx2
import openai
import pytest

from accounts import keys
from billing.models import UsageRecord
from core.errors import InvalidRequest
from gateway.embeddings import token_ids
from llm import tokens
from llm.models import GuardrailRule, Limit, Scope
from tests.gateway import Program, eventually, program, record
from tests.servers import Site
from tests.vendor import Answer, FakeVendor, Gate
from tests.vendor_inputs import TOKENS_PER_TEXT, vector_of


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def post(caller: Program, asked: object, **more: object) -> httpx2.Response:
    body = {"model": caller.model, "input": asked, **more}
    return caller.http.post("/embeddings", json=body)


def error_of(response: httpx2.Response) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


@pytest.mark.processes
def test_the_official_client_gets_vectors_in_order(caller: Program) -> None:
    made = caller.openai.embeddings.create(model=caller.model, input=["one", "three"])

    assert [list(one.embedding) for one in made.data] == [
        list(vector_of("one")),
        list(vector_of("three")),
    ]
    assert [(one.index, one.object) for one in made.data] == [(0, "embedding"), (1, "embedding")]
    assert (made.object, made.model) == ("list", "vendor-model-1")
    assert made.usage.prompt_tokens == made.usage.total_tokens == 2 * TOKENS_PER_TEXT
    row = record()
    assert (row.surface, row.state, row.outcome) == ("api", "settled", "success")


@pytest.mark.processes
def test_both_formats_and_one_text_alone(caller: Program) -> None:
    plain = post(caller, "one", encoding_format="float", dimensions=3, user="ada")
    packed = post(caller, "one", encoding_format="base64")

    assert plain.json() == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": list(vector_of("one"))}],
        "model": "vendor-model-1",
        "usage": {"prompt_tokens": TOKENS_PER_TEXT, "total_tokens": TOKENS_PER_TEXT},
    }
    text = packed.json()["data"][0]["embedding"]
    assert struct.unpack("<3f", base64.b64decode(text)) == tuple(vector_of("one"))
    assert caller.vendor.requests[0].body["dimensions"] == 3


@pytest.mark.processes
def test_the_headers_say_who_answered_and_at_what_cost(caller: Program) -> None:
    Limit.objects.create(
        name="Trial",
        scope=Scope.ORGANIZATION,
        organization=caller.site.organization,
        requests=1000,
        tokens=10_000,
        seconds=3600,
    )
    eventually(lambda: "x-ratelimit-limit-tokens" in post(caller, "warm").headers)
    UsageRecord.objects.all().delete()

    headers = post(caller, "one " * 400).headers

    row = record()
    assert headers["x-parley-usage-id"] == str(row.pk)
    assert (headers["x-parley-provider"], headers["x-parley-model"]) == ("vendor", "vendor-model-1")
    assert headers["x-parley-cost-usd"] == "0.00001"
    assert int(headers["x-ratelimit-limit-requests"]) == 1000
    assert int(headers["x-ratelimit-remaining-tokens"]) < 9_600 + 10
    assert headers["x-request-id"] == row.request_id


@pytest.mark.processes
def test_a_limit_refuses_as_it_does_for_chat(caller: Program) -> None:
    Limit.objects.create(
        name="Few tokens",
        scope=Scope.ORGANIZATION,
        organization=caller.site.organization,
        tokens=1000,
        seconds=3600,
    )
    eventually(lambda: "x-ratelimit-limit-tokens" in post(caller, "warm").headers)

    with pytest.raises(openai.RateLimitError) as caught:
        caller.openai.embeddings.create(model=caller.model, input="word " * 4000)

    assert caught.value.code == "rate_limit_exceeded"


@pytest.mark.processes
def test_guardrails_see_the_texts(caller: Program) -> None:
    GuardrailRule.objects.create(
        name="No addresses",
        check_name="pii",
        action="redact",
        direction="in",
        organization=caller.site.organization,
        settings={"kinds": ["email"]},
    )
    hidden = "write to ada@example.com"

    eventually(
        lambda: (
            post(caller, ["one", hidden]).is_success
            and "ada@example.com" not in caller.vendor.requests[-1].body["input"][1]
        )
    )

    sent = caller.vendor.requests[-1].body["input"]
    assert sent[0] == "one"
    assert sent[1].startswith("write to ")
    GuardrailRule.objects.update(action="block")
    eventually(lambda: post(caller, hidden).status_code != 200)
    assert error_of(post(caller, hidden))[1] == "guardrail_blocked"


WRONG: list[tuple[object, str]] = [
    ("", "input"),
    ([], "input"),
    (["one", ""], "input[1]"),
    (["a"] * 2049, "input"),
    ([1, "two"], "input[0]"),
    ([[]], "input"),
    ([[1], [100_300]], "input[1]"),
    ([-1], "input"),
    (5, "input"),
    (None, "input"),
    ([[1.5]], "input[0][0]"),
]


@pytest.mark.processes
def test_what_cannot_be_embedded_is_refused_by_name(caller: Program) -> None:
    found = [(asked, error_of(post(caller, asked))) for asked, _ in WRONG]

    assert found == [(asked, (400, "invalid_request", param)) for asked, param in WRONG]
    assert not caller.vendor.requests


@pytest.mark.processes
def test_wrong_parameters_are_refused_by_name(caller: Program, spare: FakeVendor) -> None:
    spare.serve("chat-only", kind="anthropic")
    caller.vendor.serve("short-only", model="short", context_tokens=3)
    eventually(lambda: caller.http.get("/models/short-only").is_success)

    assert error_of(post(caller, "a", dimensions=0)) == (400, "invalid_request", "dimensions")
    assert error_of(post(caller, "a", encoding_format="hex"))[2] == "encoding_format"
    assert error_of(post(caller, "a", dimension=2)) == (400, "unknown_parameter", "dimension")
    assert error_of(post(caller, "a", model="nobody")) == (404, "model_not_found", "model")
    too_long = post(caller, "Hello there, friend.", model="short-only")
    assert error_of(too_long) == (400, "context_length_exceeded", "input")
    chat = post(caller, "a", model="chat-only")
    assert error_of(chat) == (400, "invalid_request", "model")
    assert "makes no embeddings" in chat.json()["error"]["message"]
    assert UsageRecord.objects.count() == 0


@pytest.mark.processes
def test_a_dimension_that_the_vendor_refuses_is_named(caller: Program) -> None:
    message = "This model does not support 99 dimensions."
    error = {"message": message, "type": "invalid_request_error", "param": "dimensions"}
    caller.vendor.script(Answer(status=400, error=error))

    with pytest.raises(openai.BadRequestError, match="99 dimensions"):
        caller.openai.embeddings.create(model=caller.model, input="one", dimensions=99)


@pytest.mark.processes
def test_tokens_are_taken_for_the_text_that_they_are(caller: Program) -> None:
    texts = ["Grüße aus Köln", "second"]
    encode = tokens._encoding(token_ids.ENCODING).encode  # type: ignore[attr-defined]

    caller.openai.embeddings.create(model=caller.model, input=[encode(text) for text in texts])
    caller.openai.embeddings.create(model=caller.model, input=encode(texts[0]))

    assert [request.body["input"] for request in caller.vendor.requests] == [texts, texts[:1]]


def test_half_of_a_character_at_the_edge_is_left_out() -> None:
    encode = tokens._encoding(token_ids.ENCODING).encode  # type: ignore[attr-defined]
    ids = encode("so 🤷🏽")
    assert len(ids) > len(encode("so ")) + 1

    assert token_ids.text_of(ids[:-1], param="input").startswith("so ")
    with pytest.raises(InvalidRequest):
        token_ids.text_of(ids[-1:], param="input")


@pytest.mark.processes
def test_a_key_asks_for_its_own_models_only(caller: Program) -> None:
    _, secret = keys.create(
        organization=caller.site.organization, name="narrow", allowed_models="other-*"
    )
    headers = {"Authorization": f"Bearer {secret}"}
    body = {"model": caller.model, "input": "one"}

    refused = caller.http.post("/embeddings", json=body, headers=headers)

    assert error_of(refused)[0] == 404


@pytest.mark.processes
def test_a_client_that_leaves_pays_for_what_was_begun(caller: Program) -> None:
    gate = Gate()
    caller.vendor.script(Answer(gate=gate))

    with caller.raw("/embeddings", {"model": caller.model, "input": "one"}):
        eventually(lambda: len(caller.vendor.requests) == 1)
    gate.open()

    eventually(lambda: UsageRecord.objects.filter(state="settled").count() == 1)
    assert record().input_tokens == TOKENS_PER_TEXT


@pytest.mark.processes
def test_the_demo_offers_vectors_without_a_key(caller: Program) -> None:
    made = caller.openai.embeddings.create(
        model="demo-embedding", input="How do I reset my password?", dimensions=64
    )

    assert len(made.data[0].embedding) == 64
