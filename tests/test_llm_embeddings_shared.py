"""Vectors for several callers in one call: who goes together, who pays what, who may leave."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from msgspec.structs import replace

from accounts.models import Membership, Organization, User
from accounts.principal import Principal
from billing.errors import BudgetExceeded
from billing.models import Budget
from llm import metering
from llm.embeddings import Embeddings, embed, shared
from llm.types import Call
from tests.llm_support import MARKS, call_by, eventually, recorded
from tests.vendor import Answer, FakeVendor, Gate
from tests.vendor_inputs import TOKENS_PER_TEXT

pytestmark = MARKS


NAME = "test-model"


REFUSED = Answer(status=400, error={"message": "One of the inputs is no good."})


async def vectors(call: Call, *texts: str, dimensions: int | None = None) -> Embeddings:
    return await embed(texts, model=NAME, call=call, dimensions=dimensions)


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let those who come wait until the test sends them."""
    monkeypatch.setattr(shared, "WAIT", 3600)


async def once_all_wait(*asking: "asyncio.Task[Embeddings]", calls: int = 1) -> list[Any]:
    """Return what each gets once all of them wait in so many calls, and those are made."""
    waiting = shared._gatherings.get()._waiting
    await eventually(lambda: _count(waiting) == len(asking) and len(waiting) == calls)
    for key, shares in list(waiting.items()):
        shared._gatherings.get()._go(key, shares)
    return await asyncio.gather(*asking, return_exceptions=True)


def _count(waiting: Mapping[Any, Sequence[Any]]) -> int:
    return sum(map(len, waiting.values()))


@pytest.mark.usefixtures("together")
async def test_callers_of_the_same_moment_share_a_call_and_its_cost(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve(prices_usd=("1", "0"))
    texts = [["a"], ["a few more words", "b"], ["c " * 50]]
    vendor.script(Answer(body=_answer(4, tokens=101)))

    made = await once_all_wait(*(asyncio.create_task(vectors(call, *own)) for own in texts))

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

    asking = [vectors(call, "one"), vectors(other, "two"), vectors(call, "three", dimensions=3)]
    await once_all_wait(*map(asyncio.create_task, asking), calls=3)

    assert sorted(request.body["input"] for request in vendor.requests) == [
        ["one"],
        ["three"],
        ["two"],
    ]


@pytest.mark.usefixtures("together")
async def test_together_they_are_no_more_than_a_call_takes(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    many = [str(number) for number in range(1500)]

    first = asyncio.create_task(vectors(call, *many))
    await eventually(lambda: _count(shared._gatherings.get()._waiting) == 1)
    second = asyncio.create_task(vectors(call, *many))
    await first  # it goes without those that have no room beside it
    await once_all_wait(second)

    assert [len(request.body["input"]) for request in vendor.requests] == [1500, 1500]


@pytest.mark.usefixtures("together")
async def test_a_text_that_is_refused_is_its_own_callers_problem(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(REFUSED, REFUSED, Answer())

    asking = [asyncio.create_task(vectors(call, text)) for text in ("one", "two", "three")]
    made = await once_all_wait(*asking)

    assert sorted(type(one).__name__ for one in made) == [
        *("Embeddings", "Embeddings", "RequestRefused")
    ]
    assert [len(request.body["input"]) for request in vendor.requests] == [3, 1, 1, 1]
    assert Counter(row.outcome for row in await recorded()) == {"failed": 4, "success": 2}


@pytest.mark.usefixtures("together")
async def test_a_caller_without_money_is_left_out(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    poor = await sync_to_async(_poor_colleague)(call)

    asking = [vectors(poor, "one"), vectors(call, "two")]
    refused, made = await once_all_wait(*map(asyncio.create_task, asking))

    assert isinstance(refused, BudgetExceeded)
    assert isinstance(made, Embeddings)
    assert [request.body["input"] for request in vendor.requests] == [["two"]]


@pytest.mark.usefixtures("together")
async def test_a_caller_who_leaves_in_time_is_not_asked_for_and_the_others_are(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    leaving = asyncio.create_task(vectors(call, "one"))
    staying = asyncio.create_task(vectors(call, "two"))
    await eventually(lambda: _count(shared._gatherings.get()._waiting) == 2)

    leaving.cancel()
    gone, made = await once_all_wait(leaving, staying)

    assert isinstance(gone, asyncio.CancelledError)
    assert len(made.vectors) == 1
    assert [request.body["input"] for request in vendor.requests] == [["two"]]


async def test_what_was_sent_for_a_caller_who_leaves_is_paid(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(Answer(gate=gate))
    leaving = asyncio.create_task(vectors(call, "one"))
    await eventually(lambda: bool(vendor.requests))

    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    gate.open()
    await metering.finish_open_work()

    [row] = await recorded()
    assert (row.state, row.outcome, row.input_tokens) == ("settled", "success", TOKENS_PER_TEXT)


def test_shares_add_up() -> None:
    assert shared.split(100, [1, 1, 1]) == [33, 33, 34]
    assert shared.split(2, [5, 5, 5]) == [0, 0, 2]
    assert shared.split(7, [0]) == [7]


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
