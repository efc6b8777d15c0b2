"""The exact cache: what is answered again, to whom, and what it costs."""

import asyncio
import dataclasses
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from msgspec.structs import replace
from pytest_django import Settings
from redis.asyncio import Redis

from accounts.models import Organization
from accounts.principal import Principal
from core.outage import Outage
from gateway.wire import EXTRA
from llm import service
from llm.caching import exact, figures, purges, redis_outage
from llm.caching.figures import Figures
from llm.errors import ConnectionFailed
from llm.models import Deployment
from llm.routing import routes
from llm.types import (
    Call,
    ChatRequest,
    Delta,
    Event,
    Finished,
    ForAnthropic,
    FunctionDefinition,
    Message,
    PromptUsed,
    Started,
    Tool,
)
from tests.flights_support import are_waiting
from tests.llm_support import MARKS, ask, call_by, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor, Gate

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


TOOL = Tool(function=FunctionDefinition(name="look", parameters={"a": 1, "b": 2}))
TURNED = Tool(function=FunctionDefinition(name="look", parameters={"b": 2, "a": 1}))


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message("user", "Hello!"),)},
        {"messages": (Message("system", "Be brief."), Message("user", "Hello?"))},
        {"messages": (Message("user", "Hello?", name="ann"),)},
        {"max_tokens": 10},
        {"temperature": 0.5},
        {"top_p": 0.5},
        {"stop": ("x",)},
        {"seed": 1},
        {"tools": (TOOL,)},
        {"tools": (TURNED,)},
        {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}},
        {"messages": (Message("user", "Hello?", anthropic=ForAnthropic(is_error=True)),)},
        {"tools": (replace(TOOL, anthropic={"eager_input_streaming": True}),)},
        {"anthropic": {"top_k": 5}},
        {"anthropic_hints": {"thinking": {"type": "adaptive"}}},
        *({"extra": {name: 1}} for name in EXTRA),
    ],
    ids=str,
)
async def test_every_parameter_makes_it_another_question(
    vendor: FakeVendor, call: Call, change: dict[str, object]
) -> None:
    await vendor.aserve(is_cached=True)
    await vendor.aserve("another-name", model="another", is_cached=True)
    route = await routes.find("test-model", call.principal)
    question = ask(temperature=0.0)

    assert key(replace(question, **change), call, route) != key(question, call, route)


def test_no_field_of_a_request_was_forgotten() -> None:
    """Whoever adds a field to the request decides here whether it changes the answer."""
    tested = {"messages", "max_tokens", "temperature", "top_p", "stop", "seed", "tools"}
    tested |= {"tool_choice", "response_format", "extra", "anthropic", "anthropic_hints"}
    assert set(ChatRequest.__struct_fields__) == tested | {"model", "stream"}


async def test_who_asks_and_who_would_answer_make_it_another_question(
    vendor: FakeVendor, call: Call
) -> None:
    served = await vendor.aserve()
    question = ask(temperature=0.0)
    route = await routes.find("test-model", call.principal)
    keys = {
        key(question, call, route),
        key(question, call, route, purge=1),
        key(question, replace(call, task="classify"), route),
        key(question, replace(call, prompt=PromptUsed("a", 1)), route),
        key(question, replace(call, prompt=PromptUsed("a", 2)), route),
        key(question, replace(call, principal=Principal(organization_id=-1)), route),
        key(replace(question, model="other"), call, route),
    }
    await Deployment.objects.filter(pk=served.pk).aupdate(model="newer")
    routes.forget()
    keys.add(key(question, call, await routes.find("test-model", call.principal)))

    assert len(keys) == 8


async def test_what_changes_no_answer_makes_it_no_other_question(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    route = await routes.find("test-model", call.principal)
    question = ask(temperature=0.0)
    person = dataclasses.replace(call.principal, user_id=7, user_name="ann", api_key_id=3)
    others = [
        (replace(question, stream=False), call),
        (question, replace(call, request_id="another", surface="chat", ip="192.0.2.1")),
        (question, replace(call, principal=person)),
    ]

    assert {key(*other, route) for other in others} == {key(question, call, route)}


@pytest.mark.parametrize("first", [True, False])
async def test_a_stream_and_a_whole_answer_share_an_entry_each_in_its_own_form(
    vendor: FakeVendor, call: Call, first: bool
) -> None:
    await vendor.aserve()
    made = await collect(ask(temperature=0.0, stream=first), call)

    other = await collect(ask(temperature=0.0, stream=not first), call)
    same = await collect(ask(temperature=0.0, stream=first), call)

    assert len(vendor.requests) == 1
    assert text_of(other) == text_of(same) == text_of(made)
    assert raw_of(same) == raw_of(made) != b""
    assert all(event.raw is None for event in other if isinstance(event, Delta))


async def test_what_only_the_vendors_bytes_say_is_not_told_in_the_other_form(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    for stream in (True, False):
        await collect(ask(temperature=0.0, stream=stream, extra={"logprobs": True}), call)

    assert len(vendor.requests) == 2


async def test_another_prompt_version_is_another_question(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    for version in (1, 2):
        prompt = PromptUsed("chat-system", version)
        await collect(ask(temperature=0.0), replace(call, prompt=prompt))

    assert len(vendor.requests) == 2


@pytest.mark.parametrize(
    ("purge", "is_gone"),
    [
        ({}, True),
        ({"organization": "own"}, True),
        ({"alias": "test-model"}, True),
        ({"prompt_name": "greet"}, True),
        ({"organization": "own", "alias": "test-model", "prompt_name": "greet"}, True),
        ({"organization": "other"}, False),
        ({"alias": "other-model"}, False),
        ({"organization": "own", "prompt_name": "other"}, False),
    ],
)
async def test_a_purge_throws_away_what_it_names(
    vendor: FakeVendor, call: Call, purge: dict[str, Any], is_gone: bool
) -> None:
    await vendor.aserve()
    organizations = {
        "own": await Organization.objects.aget(pk=call.principal.organization_id),
        "other": await Organization.objects.acreate(name="Other", slug="other"),
    }
    call = replace(call, prompt=PromptUsed("greet", 1))
    await collect(ask(temperature=0.0), call)
    if "organization" in purge:
        purge = {**purge, "organization": organizations[purge["organization"]]}

    await sync_to_async(purges.purge)(**purge)
    await collect(ask(temperature=0.0), call)
    await collect(ask(temperature=0.0), call)

    assert len(vendor.requests) == (2 if is_gone else 1)


async def test_hits_of_the_same_moment_are_one_command(
    vendor: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await vendor.aserve()
    await collect(ask(temperature=0.0), call)
    commands: list[int] = []
    mget = Redis.mget

    def counted(client: Any, keys: Any) -> Any:
        commands.append(len(keys))
        return mget(client, keys)

    monkeypatch.setattr(Redis, "mget", counted)
    await asyncio.gather(*(collect(ask(temperature=0.0), call) for _ in range(50)))

    assert len(commands) <= 3
    assert sum(commands) == 50


async def test_figures_tell_what_the_cache_saves(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    gate = Gate()
    vendor.script(Answer(gate=gate))
    asking = [asyncio.create_task(collect(ask(temperature=0.0), call)) for _ in range(3)]
    await are_waiting(3)
    gate.open()
    await asyncio.gather(*asking)
    for _ in range(2):
        await collect(ask(temperature=0.0), call)
    await service.close()

    [figures] = await own_figures(call)

    assert (figures.miss, figures.shared, figures.hit, figures.written) == (1, 2, 2, 1)
    assert figures.hit_rate == 0.8
    assert figures.saved_usd == 4 * Decimal("0.00002")
    assert figures.entries == 1
    assert figures.bytes > 100


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
    monkeypatch.setattr(redis_outage, "outage", Outage("llm.cache"))
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    await vendor.aserve()

    for _ in range(3):
        assert text_of(await collect(ask(temperature=0.0), call)) == Answer().text

    assert len(vendor.requests) == 3
    assert caplog.text.count("llm.cache_away") == 1


def key(request: ChatRequest, call: Call, route: routes.Route, purge: int = 0) -> str:
    return exact.key_for(request, call, route, purge=purge)


def raw_of(events: list[Event]) -> bytes:
    return b"".join(event.raw or b"" for event in events if isinstance(event, Delta))


async def own_figures(call: Call) -> list[Figures]:
    """Return the figures of this test's organization; Redis outlives a test."""
    report = await sync_to_async(figures.report)() or []
    return [one for one in report if one.organization_id == call.principal.organization_id]
