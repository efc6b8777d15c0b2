"""Vectors for texts: what is sent, what comes back, what cannot be embedded."""

import math
from collections.abc import Sequence
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from billing.models import UsageRecord
from core.errors import InvalidRequest
from llm import demo, errors
from llm.embeddings import Embeddings, embed, shared
from llm.types import Call
from tests.llm_support import MARKS, recorded
from tests.vendor import Answer, FakeVendor
from tests.vendor_inputs import TOKENS_PER_TEXT, vector_of

pytestmark = MARKS


NAME = "test-model"


async def vectors(call: Call, *texts: str, dimensions: int | None = None) -> Embeddings:
    return await embed(texts, model=NAME, call=call, dimensions=dimensions)


async def test_each_text_gets_its_vector_and_the_vendors_tokens_are_paid(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve(prices_usd=("3", "0"))

    made = await vectors(call, "one", "three", "fifteen", dimensions=3)

    assert [list(vector) for vector in made.vectors] == [
        list(vector_of(text)) for text in ("one", "three", "fifteen")
    ]
    assert made.usage.input_tokens == 3 * TOKENS_PER_TEXT
    assert made.cost_usd == Decimal("0.000090")
    assert (made.model, made.is_estimated) == ("vendor-model-1", False)
    [request] = vendor.requests
    assert request.path == "/v1/embeddings"
    assert request.body == {
        "model": "vendor-model",
        "input": ["one", "three", "fifteen"],
        "encoding_format": "float",
        "dimensions": 3,
    }
    [row] = await recorded()
    assert (row.state, row.outcome, row.cost_usd) == ("settled", "success", made.cost_usd)
    assert (row.input_tokens, row.output_tokens) == (30, 0)


async def test_azure_is_asked_at_the_deployments_address(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(kind="azure", model="my-embeddings")

    made = await vectors(call, "one")

    assert [list(vector) for vector in made.vectors] == [list(vector_of("one"))]
    [request] = vendor.requests
    assert request.path == "/openai/deployments/my-embeddings/embeddings"
    assert "api-version" in request.query
    assert request.body["encoding_format"] == "base64"


async def test_tokens_that_the_vendor_does_not_report_are_counted(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(usage=None))

    made = await vectors(call, "Hello there, friend.")

    assert made.is_estimated
    assert made.usage.input_tokens == 5


async def test_more_texts_than_a_call_takes_are_several_calls(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    texts = [str(number) for number in range(shared.MOST_INPUTS + 2)]

    made = await vectors(call, *texts)

    assert [list(vector) for vector in made.vectors] == [list(vector_of(text)) for text in texts]
    assert sorted(len(request.body["input"]) for request in vendor.requests) == [2, 2048]
    assert made.usage.input_tokens == TOKENS_PER_TEXT * len(texts)
    assert await UsageRecord.objects.acount() == 2


async def test_more_tokens_than_a_call_takes_are_several_calls(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    long = " a" * 140_000

    await vectors(call, long, long, long)

    assert sorted(len(request.body["input"]) for request in vendor.requests) == [1, 2]


async def test_a_failure_is_tried_again_and_then_elsewhere(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(status=500))

    made = await vectors(call, "one")

    assert len(made.vectors) == 1
    assert len(vendor.requests) == 3
    assert [(row.provider, row.outcome, row.cost_usd or 0) for row in await recorded()] == [
        *[("vendor", "failed", 0)] * 3,
        ("spare", "success", made.cost_usd),
    ]


async def test_what_could_not_be_embedded_anywhere_is_refused_before_anybody_is_asked(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve(context_tokens=3)
    await spare.aserve("chat-only", kind="anthropic")

    with pytest.raises(errors.ContextTooLong, match="5 tokens, more than the 3"):
        await vectors(call, "one", "Hello there, friend.")
    with pytest.raises(InvalidRequest, match="cannot be asked for that"):
        await embed(["one"], model="chat-only", call=call)
    with pytest.raises(errors.ModelNotFound):
        await embed(["one"], model="unheard-of", call=call)
    with pytest.raises(InvalidRequest, match="no text"):
        await vectors(call)
    with pytest.raises(InvalidRequest, match="Text 2 is empty"):
        await vectors(call, "one", "")
    with pytest.raises(InvalidRequest, match="dimension"):
        await vectors(call, "one", dimensions=0)

    assert not vendor.requests
    assert not await recorded()


async def test_a_deployment_that_makes_no_embeddings_is_passed_over(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await spare.aserve(kind="anthropic")
    await vendor.aserve()

    await vectors(call, "one")

    assert [row.provider for row in await recorded()] == ["vendor"]


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b'{"data": []}',
        b'{"data": [{"index": 0, "embedding": []}]}',
        b'{"data": [{"index": 7, "embedding": [1.0]}]}',
        b'{"data": [{"index": 0, "embedding": "!"}]}',
        b'{"data": [{"index": 0, "embedding": "AADAfw=="}]}',  # not a number
        b'{"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]}',
    ],
)
async def test_vectors_that_cannot_be_read_are_an_error(
    vendor: FakeVendor, call: Call, body: bytes
) -> None:
    await vendor.aserve()
    vendor.script(Answer(body=body))

    with pytest.raises(errors.MalformedAnswer):
        await vectors(call, "one")


async def test_an_error_inside_an_answer_is_one(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(body=b'{"error": {"message": "too busy", "code": "rate_limit_exceeded"}}'))

    with pytest.raises(errors.RateLimited):
        await vectors(call, "one")


async def test_the_demos_vectors_are_near_where_texts_are_alike(call: Call) -> None:
    await sync_to_async(demo.seed)()
    texts = [
        "How do I reset my password?",
        "how can I reset my password",
        "What does the large model cost?",
    ]

    made = await embed(texts, model="demo-embedding", call=call)
    again = await embed(texts[:1], model="demo-embedding", call=call, dimensions=64)

    question, same, other = made.vectors
    assert _cosine(question, question) == pytest.approx(1)
    assert _cosine(question, same) > 0.7
    assert _cosine(question, other) < 0.3
    assert list((await embed(texts[:1], model="demo-embedding", call=call)).vectors[0]) == list(
        question
    )
    assert (len(question), len(again.vectors[0])) == (256, 64)
    assert made.is_estimated


async def test_the_demos_faults_hold_for_embeddings_too(call: Call) -> None:
    await sync_to_async(demo.seed)()

    with pytest.raises(errors.ServerError):
        await embed(["one"], model="fault-500", call=call)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))
