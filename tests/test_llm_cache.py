"""The exact cache: what is answered again, to whom, and what it costs."""

import pytest
from msgspec.structs import replace
from pytest_django import Settings

from accounts.models import Organization
from llm import cache
from llm.errors import ConnectionFailed
from llm.types import Call, Finished, PromptUsed, Started
from tests.llm_support import MARKS, ask, call_by, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS


@pytest.mark.parametrize("stream", [True, False])
async def test_a_repeated_question_is_answered_from_the_cache_for_nothing(
    vendor: FakeVendor, call: Call, stream: bool
) -> None:
    await vendor.aserve()
    question = ask(temperature=0.0, stream=stream)
    first = await collect(question, call)

    second = await collect(question, call)

    assert len(vendor.requests) == 1
    assert text_of(second) == text_of(first)
    started, *_, finished = second
    assert isinstance(started, Started)
    assert started.is_cache_hit
    assert started.cache_age is not None
    assert isinstance(finished, Finished)
    assert finished.cost_usd == 0
    _, row = await recorded()
    assert (row.is_cache_hit, row.cost_usd, row.outcome) == (True, 0, "success")
    assert row.output_tokens == 5


async def test_a_cached_answer_does_not_cross_tenants(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    other = await Organization.objects.acreate(name="Other", slug="other")
    question = ask(temperature=0.0)
    await collect(question, call)

    await collect(question, call_by(other))

    assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    "change", [{"top_p": 0.5}, {"seed": 1}, {"extra": {"logprobs": True}}, {"stop": ("x",)}]
)
async def test_every_parameter_makes_it_another_question(
    vendor: FakeVendor, call: Call, change: dict[str, object]
) -> None:
    await vendor.aserve()
    question = ask(temperature=0.0)
    await collect(question, call)

    await collect(replace(question, **change), call)

    assert len(vendor.requests) == 2


async def test_another_prompt_version_is_another_question(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    for version in (1, 2):
        prompt = PromptUsed("chat-system", version)
        await collect(ask(temperature=0.0), replace(call, prompt=prompt))

    assert len(vendor.requests) == 2


@pytest.mark.parametrize("temperature", [None, 0.7])
async def test_other_answers_are_not_kept_unless_the_route_says_so(
    vendor: FakeVendor, call: Call, temperature: float | None
) -> None:
    await vendor.aserve("fresh")
    await vendor.aserve("cached", model="other", is_cached=True)
    for alias in ("fresh", "fresh", "cached", "cached"):
        await collect(ask(model=alias, temperature=temperature), call)

    assert [request.body["model"] for request in vendor.requests] == [
        "vendor-model",
        "vendor-model",
        "other",
    ]


async def test_a_broken_answer_is_not_kept(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(fault="close", after=2), Answer())
    with pytest.raises(ConnectionFailed):
        await collect(ask(temperature=0.0), call)

    assert text_of(await collect(ask(temperature=0.0), call)) == Answer().text


async def test_without_redis_there_is_no_cache_but_an_answer_and_one_warning(
    vendor: FakeVendor,
    call: Call,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cache, "_outage", cache.Outage())
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    await vendor.aserve()

    for _ in range(3):
        assert text_of(await collect(ask(temperature=0.0), call)) == Answer().text

    assert len(vendor.requests) == 3
    assert caplog.text.count("llm.cache_away") == 1
