"""Vectors for texts: what is sent, who goes together, who pays what. And verdicts on texts."""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from msgspec.structs import replace

from accounts.models import Membership, Organization, User
from accounts.principal import Principal
from billing.errors import BudgetExceeded
from billing.models import Budget, UsageRecord
from core.errors import InvalidRequest
from llm import demo, errors, metering, moderation
from llm.embeddings import Embeddings, embed, shared
from llm.types import Call
from tests.llm_support import MARKS, call_by, eventually, recorded
from tests.vendor import Answer, FakeVendor
from tests.vendor_inputs import TOKENS_PER_TEXT, vector_of

pytestmark = MARKS

NAME = "test-model"
REFUSED = Answer(status=400, error={"message": "One of the inputs is no good."})


async def vectors(call: Call, *texts: str, dimensions: int | None = None) -> Embeddings:
    return await embed(texts, model=NAME, call=call, dimensions=dimensions)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for others for so long that also a busy machine has all of them there."""
    monkeypatch.setattr(shared, "WAIT", 0.2)


# --- One caller -----------------------------------------------------------------------------------


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


# --- Several callers ------------------------------------------------------------------------------


@pytest.mark.usefixtures("together")
async def test_callers_of_the_same_moment_share_a_call_and_its_cost(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve(prices_usd=("1", "0"))
    texts = [["a"], ["a few more words", "b"], ["c " * 50]]
    vendor.script(Answer(body=_answer(4, tokens=101)))

    made = await asyncio.gather(*(vectors(call, *own) for own in texts))

    [request] = vendor.requests
    sent = request.body["input"]
    assert Counter(sent) == Counter(text for own in texts for text in own)
    for own, embeddings in zip(texts, made, strict=True):
        assert [vector[0] for vector in embeddings.vectors] == [sent.index(text) for text in own]
    rows = await recorded()
    assert len(rows) == 3
    assert sum(row.input_tokens for row in rows) == 101
    assert sum(row.cost_usd or 0 for row in rows) == Decimal("0.000101")
    assert made[2].usage.input_tokens > made[1].usage.input_tokens > made[0].usage.input_tokens


@pytest.mark.usefixtures("together")
async def test_organizations_and_sizes_do_not_go_together(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    other = call_by(await Organization.objects.acreate(name="Other", slug="other"))

    await asyncio.gather(
        vectors(call, "one"), vectors(other, "two"), vectors(call, "three", dimensions=3)
    )

    assert sorted(request.body["input"] for request in vendor.requests) == [
        ["one"],
        ["three"],
        ["two"],
    ]


@pytest.mark.usefixtures("together")
async def test_together_they_are_no_more_than_a_call_takes(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    many = [str(number) for number in range(1500)]

    await asyncio.gather(vectors(call, *many), vectors(call, *many))

    assert [len(request.body["input"]) for request in vendor.requests] == [1500, 1500]


@pytest.mark.usefixtures("together")
async def test_a_text_that_is_refused_is_its_own_callers_problem(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(REFUSED, REFUSED, Answer())

    made = await asyncio.gather(
        vectors(call, "one"), vectors(call, "two"), vectors(call, "three"), return_exceptions=True
    )

    assert sorted(type(one).__name__ for one in made) == [
        *("Embeddings", "Embeddings", "RequestRefused")
    ]
    assert [len(request.body["input"]) for request in vendor.requests] == [3, 1, 1, 1]
    assert Counter(row.outcome for row in await recorded()) == {"failed": 4, "success": 2}


@pytest.mark.usefixtures("together")
async def test_a_caller_without_money_is_left_out(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    poor = await sync_to_async(_poor_colleague)(call)

    refused, made = await asyncio.gather(
        vectors(poor, "one"), vectors(call, "two"), return_exceptions=True
    )

    assert isinstance(refused, BudgetExceeded)
    assert isinstance(made, Embeddings)
    assert [request.body["input"] for request in vendor.requests] == [["two"]]


@pytest.mark.usefixtures("together")
async def test_a_caller_who_leaves_in_time_is_not_asked_for_and_the_others_are(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await vectors(call, "warm")
    leaving = asyncio.create_task(vectors(call, "one"))
    staying = asyncio.create_task(vectors(call, "two"))
    await asyncio.sleep(0.05)

    leaving.cancel()

    assert len((await staying).vectors) == 1
    assert vendor.requests[-1].body["input"] == ["two"]


async def test_what_was_sent_for_a_caller_who_leaves_is_paid(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(pause=0.2))
    leaving = asyncio.create_task(vectors(call, "one"))
    await eventually(lambda: bool(vendor.requests))

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await metering.finish_open_work()

    [row] = await recorded()
    assert (row.state, row.outcome, row.input_tokens) == ("settled", "success", TOKENS_PER_TEXT)


def test_shares_add_up() -> None:
    assert shared.split(100, [1, 1, 1]) == [33, 33, 34]
    assert shared.split(2, [5, 5, 5]) == [0, 0, 2]
    assert shared.split(7, [0]) == [7]


# --- The demo -------------------------------------------------------------------------------------


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


# --- Moderation -----------------------------------------------------------------------------------


async def test_moderation_names_what_is_wrong_and_is_booked(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(model="omni-moderation-latest", prices_usd=("0", "0"))

    fine = await moderation.check("Good morning.", model=NAME, call=call)
    bad = await moderation.check("I will harm you.", model=NAME, call=call)

    assert fine == moderation.Moderation(flagged=False)
    assert bad == moderation.Moderation(flagged=True, categories=("hate", "violence"))
    assert [request.path for request in vendor.requests] == ["/v1/moderations"] * 2
    assert vendor.requests[1].body == {
        "model": "omni-moderation-latest",
        "input": "I will harm you.",
    }
    assert [(row.outcome, row.cost_usd, row.is_estimated) for row in await recorded()] == [
        ("success", 0, True)
    ] * 2


async def test_moderation_falls_back_and_says_what_failed(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(status=404))

    assert (await moderation.check("harm", model=NAME, call=call)).flagged

    spare.script(Answer(body=b'{"results": []}'))
    with pytest.raises(errors.MalformedAnswer):
        await moderation.check("harm", model=NAME, call=call)


async def test_the_demo_flags_its_words(call: Call) -> None:
    await sync_to_async(demo.seed)()

    found = await moderation.check("Build a bomb and KILL.", model="demo-moderation", call=call)

    assert found == moderation.Moderation(flagged=True, categories=("illicit", "violence"))
    assert not (await moderation.check("", model="demo-moderation", call=call)).flagged


def _answer(count: int, *, tokens: int) -> bytes:
    data = [f'{{"index": {index}, "embedding": [{index}]}}' for index in range(count)]
    return f'{{"data": [{",".join(data)}], "usage": {{"prompt_tokens": {tokens}}}}}'.encode()


def _poor_colleague(call: Call) -> Call:
    """Return a call of somebody in the same organization whose budget is used up."""
    user = User.objects.create_user("poor")
    organization = Organization.objects.get(pk=call.principal.organization_id)
    Membership.objects.create(user=user, organization=organization)
    Budget.objects.create(organization=organization, user=user, name="None", limit_usd=0)
    return replace(call, principal=Principal(organization_id=organization.pk, user_id=user.pk))


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))
