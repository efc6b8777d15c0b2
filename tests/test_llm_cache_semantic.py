"""Answers to questions of the same meaning: who gets them, who does not, and taking one back."""

import dataclasses
import math
import re
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zlib import crc32

import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from django.utils import timezone
from msgspec.structs import replace

from accounts import keys
from accounts.models import Membership, Organization, User
from accounts.principal import Principal
from core.errors import AppError
from llm import embeddings
from llm.caching import purges, semantic
from llm.models import SemanticAnswer, SemanticHit
from llm.types import (
    CacheWish,
    Call,
    ChatRequest,
    Event,
    FunctionDefinition,
    Message,
    PromptCache,
    PromptUsed,
    Started,
    TextPart,
    Tool,
)
from tests.llm_support import MARKS, ask, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

HOW_OPEN = "When are you open on Sunday?"
SIMILAR = "When are you open on a Sunday?"
OTHER = "How do I send a parcel back?"
CACHE = PromptCache(semantic_threshold=0.8, semantic_model="embedder")
USED = PromptUsed("faq", 3, CACHE)
SYSTEM = Message("system", "You answer for a shop.")


@dataclasses.dataclass(frozen=True)
class Vectors:
    vectors: Sequence[Sequence[float]]


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Compare texts by the words they share; return what was embedded."""
    seen: list[str] = []

    async def embed(texts: Sequence[str], *, model: str, call: Call) -> Vectors:
        seen.extend(texts)
        if model == "broken":
            raise AppError("This model does not answer.")
        return Vectors([_vector(text) for text in texts])

    monkeypatch.setattr(embeddings, "embed", embed)
    return seen


@pytest.fixture
def asked_by(call: Call, embedded: list[str]) -> Call:
    """A call with a prompt that takes similar questions for the same."""
    return replace(call, prompt=USED)


def question(text: str = HOW_OPEN, **more: Any) -> ChatRequest:
    return replace(ask(), messages=(SYSTEM, Message("user", text)), **more)


def similarity_of(events: list[Event]) -> float | None:
    started = events[0]
    assert isinstance(started, Started)
    assert started.is_cache_hit == (started.similarity is not None)
    return started.similarity


async def test_a_similar_question_gets_the_answer_for_nothing(
    vendor: FakeVendor, asked_by: Call
) -> None:
    await vendor.aserve()
    first = await collect(question(), asked_by)

    second = await collect(question(SIMILAR), asked_by)
    third = await collect(question(OTHER), asked_by)

    assert similarity_of(first) is None
    assert 0.8 <= (similarity_of(second) or 0) < 1
    assert similarity_of(third) is None
    assert text_of(second) == text_of(first)
    assert len(vendor.requests) == 2
    row = (await recorded())[1]
    assert (row.is_cache_hit, row.cost_usd, row.prompt_name) == (True, 0, "faq")
    hit = await SemanticHit.objects.aget()
    assert hit.usage_id == row.id
    assert hit.similarity == pytest.approx(similarity_of(second))


async def test_the_vectors_are_a_vendors_and_are_paid(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    await vendor.aserve("embedder", model="vectors")
    asked_by = replace(call, prompt=USED)
    await collect(question(), asked_by)

    events = await collect(question(SIMILAR), asked_by)

    assert (similarity_of(events) or 0) > 0.99
    rows = [(row.model_asked, row.is_cache_hit, row.cost_usd != 0) for row in await recorded()]
    assert rows == [
        ("embedder", False, True),
        ("test-model", False, True),
        ("embedder", False, True),
        ("test-model", True, False),
    ]


TOOL = Tool(function=FunctionDefinition(name="look"))
FILTERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"messages": (Message("system", "You sell cars."), Message("user", SIMILAR))}, {}),
    ({"messages": (Message("user", SIMILAR),)}, {}),
    ({"messages": (SYSTEM, Message("assistant", "Hi"), Message("user", SIMILAR))}, {}),
    ({"tools": (TOOL,)}, {}),
    ({"response_format": {"type": "json_object"}}, {}),
    ({"temperature": 0.3}, {}),
    ({"max_tokens": 7}, {}),
    ({"model": "other-model"}, {}),
    ({}, {"prompt": PromptUsed("faq", 4, CACHE)}),
    ({}, {"prompt": PromptUsed("other", 3, CACHE)}),
    ({}, {"prompt": PromptUsed("faq", 3, replace(CACHE, semantic_model="another"))}),
    ({}, {"prompt": PromptUsed("faq", 3, replace(CACHE, semantic_threshold=0.999))}),
    ({}, {"prompt": PromptUsed("faq", 3, PromptCache(mode="on"))}),
    ({}, {"prompt": None}),
    ({}, {"task": "classify"}),
    ({}, {"cache": CacheWish(mode="off")}),
    ({}, {"cache": CacheWish(mode="write")}),
]


@pytest.mark.parametrize(("of_request", "of_call"), FILTERS)
async def test_all_but_the_question_must_be_equal(
    vendor: FakeVendor, asked_by: Call, of_request: dict[str, Any], of_call: dict[str, Any]
) -> None:
    await vendor.aserve()
    await vendor.aserve("other-model", model="other")
    await collect(question(), asked_by)

    events = await collect(replace(question(SIMILAR), **of_request), replace(asked_by, **of_call))

    assert similarity_of(events) is None
    assert len(vendor.requests) == 2


async def test_a_similar_question_of_another_tenant_is_another_question(
    vendor: FakeVendor, asked_by: Call
) -> None:
    await vendor.aserve()
    await collect(question(), asked_by)
    other = await Organization.objects.acreate(name="Other", slug="other")

    stranger = replace(asked_by, principal=Principal(organization_id=other.pk))
    await collect(question(SIMILAR), stranger)

    assert len(vendor.requests) == 2


async def test_other_numbers_are_another_question(vendor: FakeVendor, asked_by: Call) -> None:
    await vendor.aserve()
    text = "Please tell me where in the whole wide world my order number {} is right now"
    await collect(question(text.format(123)), asked_by)

    await collect(question(text.format(124)), asked_by)

    assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("word " * 2000, "embedder"),  # too long for one vector
        ("", "embedder"),
        (HOW_OPEN, "broken"),  # the model that compares does not answer
    ],
)
async def test_what_cannot_be_compared_is_answered_anew(
    vendor: FakeVendor, asked_by: Call, text: str, model: str
) -> None:
    await vendor.aserve()
    used = PromptUsed("faq", 3, replace(CACHE, semantic_model=model))

    events = await collect(question(text), replace(asked_by, prompt=used))

    assert text_of(events) == Answer().text
    assert not await SemanticAnswer.objects.aexists()


async def test_parts_of_text_are_a_question_and_images_are_not(
    vendor: FakeVendor, asked_by: Call, embedded: list[str]
) -> None:
    await vendor.aserve()
    parts = (TextPart("When are you open"), TextPart("on Sunday?"))

    await collect(replace(ask(), messages=(Message("user", parts),)), asked_by)

    assert embedded == ["When are you open\non Sunday?"]


async def test_a_prompt_that_did_not_opt_in_compares_nothing(
    vendor: FakeVendor, call: Call, embedded: list[str]
) -> None:
    await vendor.aserve()
    used = PromptUsed("faq", 3, PromptCache(mode="on"))

    await collect(question(), replace(call, prompt=used))

    assert embedded == []


async def test_an_answer_ends_with_its_time_and_the_worker_removes_it(
    vendor: FakeVendor, asked_by: Call
) -> None:
    await vendor.aserve()
    await collect(question(), asked_by)
    past = timezone.now() - timedelta(seconds=1)
    await SemanticAnswer.objects.aupdate(expires_at=past)

    await collect(question(SIMILAR), asked_by)
    removed = await sync_to_async(semantic.remove_expired)()

    assert len(vendor.requests) == 2
    assert removed == 1
    assert await SemanticAnswer.objects.acount() == 1


async def test_a_purge_removes_it(vendor: FakeVendor, asked_by: Call) -> None:
    await vendor.aserve()
    await collect(question(), asked_by)

    await sync_to_async(purges.purge)(prompt_name="faq")

    assert not await SemanticAnswer.objects.aexists()


async def test_without_postgresql_for_a_moment_the_comparison_is_left_out(
    vendor: FakeVendor, asked_by: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.errors import DependencyDown

    def down(*_: Any) -> None:
        raise DependencyDown("The database does not answer.")

    monkeypatch.setattr(semantic, "_find", down)
    monkeypatch.setattr(semantic, "_put", down)
    await vendor.aserve()

    assert text_of(await collect(question(), asked_by)) == Answer().text


async def test_a_wrong_hit_is_given_to_nobody_any_more(vendor: FakeVendor, asked_by: Call) -> None:
    await vendor.aserve()
    caller = await sync_to_async(Caller)("ann", asked_by)
    await collect(question(), asked_by)
    events = await collect(question(SIMILAR), replace(asked_by, principal=caller.principal))
    started = events[0]
    assert isinstance(started, Started)

    first = await sync_to_async(caller.report)(started.usage_id)
    again = await sync_to_async(caller.report)(started.usage_id)

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["similarity"] == pytest.approx(started.similarity)
    assert not await SemanticAnswer.objects.aexists()
    hit = await SemanticHit.objects.aget()
    assert hit.reported_by == "ann"
    assert hit.reported_at is not None
    await collect(question("When are you open on any Sunday?"), asked_by)
    assert len(vendor.requests) == 2


async def test_only_who_was_given_it_may_report_it(vendor: FakeVendor, asked_by: Call) -> None:
    await vendor.aserve()
    ann = await sync_to_async(Caller)("ann", asked_by)
    bob = await sync_to_async(Caller)("bob", asked_by)
    by_ann = replace(asked_by, principal=ann.principal)
    made = await collect(question(), by_ann)
    given = await collect(question(SIMILAR), by_ann)
    assert isinstance(made[0], Started)
    assert isinstance(given[0], Started)

    answers = [
        await sync_to_async(bob.report)(given[0].usage_id),
        await sync_to_async(ann.report)(made[0].usage_id),  # it was no hit
        await sync_to_async(ann.report)(uuid.uuid4()),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert (await sync_to_async(ann.report)("no-id")).status_code == 400
    nobody = await sync_to_async(Client().post)("/api/cache/wrong-hit/", {"usage_id": "x"})
    assert nobody.status_code == 401
    assert await SemanticAnswer.objects.acount() == 1


class Caller:
    """Somebody's program."""

    def __init__(self, name: str, asked_by: Call) -> None:
        organization = Organization.objects.get(pk=asked_by.principal.organization_id)
        user = User.objects.create(username=name)
        Membership.objects.create(user=user, organization=organization)
        _, secret = keys.create(organization=organization, name=name, user=user)
        self.principal = keys.principal_of(secret)
        self._headers = {"authorization": f"Bearer {secret}"}

    def report(self, usage_id: Any) -> Any:
        return Client().post(
            "/api/cache/wrong-hit/", {"usage_id": str(usage_id)}, headers=self._headers
        )


def _vector(text: str) -> list[float]:
    """Return a vector in which texts with the same words are near."""
    vector = [0.0] * 64
    for word in re.findall(r"\w+", text.lower()):
        vector[crc32(word.encode()) % 64] += 1
    length = math.hypot(*vector) or 1.0
    return [value / length for value in vector]
