"""When an answer may be given again: the rule, and how prompt, route, key and caller narrow it."""

import dataclasses
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from accounts.principal import Principal
from core import redis
from llm.caching import exact
from llm.caching.policy import NotCached, decide
from llm.routing import routes
from llm.types import (
    CacheWish,
    Call,
    Delta,
    Event,
    FunctionDefinition,
    PromptCache,
    PromptUsed,
    Tool,
)
from tests.llm_support import MARKS, ask, collect, text_of
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

ROUTE = routes.Route(alias="test-model", steps=(), created_at=datetime.now(UTC))
TOOL = Tool(function=FunctionDefinition(name="look", parameters={"a": 1}))


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


CALLS_A_TOOL = Answer(
    text="",
    tool_calls=[{"id": "call-1", "name": "look", "arguments": "{}"}],
    finish_reason="tool_calls",
)


@pytest.mark.parametrize(
    ("answer", "more", "kept", "kept_when_told"),
    [
        (Answer(), {}, True, True),
        (Answer(), {"tools": (TOOL,)}, False, True),
        (CALLS_A_TOOL, {"tools": (TOOL,)}, False, True),
        (Answer(finish_reason="length"), {}, False, True),
        (Answer(finish_reason="content_filter"), {}, False, False),
    ],
    ids=["good", "tools", "tool-call", "cut", "filtered"],
)
async def test_which_answers_are_kept_and_that_the_prompt_may_say_otherwise(
    vendor: FakeVendor,
    call: Call,
    answer: Answer,
    more: dict[str, Any],
    kept: bool,
    kept_when_told: bool,
) -> None:
    await vendor.aserve()
    vendor.script(answer)
    told = replace(call, prompt=PromptUsed("greet", 1, PromptCache(mode="on")))
    for asked_by, is_kept in ((call, kept), (told, kept_when_told)):
        vendor.requests.clear()
        first = await collect(ask(temperature=0.0, **more), asked_by)
        second = await collect(ask(temperature=0.0, **more), asked_by)

        assert len(vendor.requests) == (1 if is_kept else 2)
        assert calls_of(second) == calls_of(first)


MODES = ["on", "read", "write", "off"]


@pytest.mark.parametrize("of_request", MODES)
@pytest.mark.parametrize("of_key", MODES)
@pytest.mark.parametrize("of_prompt", [None, *MODES])
def test_the_narrowest_mode_counts(of_prompt: Any, of_key: Any, of_request: Any) -> None:
    call = Call(
        principal=Principal(organization_id=1, cache_mode=of_key),
        surface="api",
        request_id="request-1",
        prompt=PromptUsed("greet", 1, PromptCache(mode=of_prompt)),
        cache=CacheWish(mode=of_request),
    )

    policy = decide(ask(temperature=0.0), call, ROUTE)

    modes = {of_prompt or "on", of_key, of_request}
    assert policy.reads == (modes <= {"on", "read"})
    assert policy.writes == (modes <= {"on", "write"})


@pytest.mark.parametrize(
    ("temperature", "mode", "is_cached", "is_off"),
    [
        (0, None, False, False),
        (0.7, None, False, True),
        (None, None, False, True),
        (0.7, "on", False, False),
        (0.7, None, True, False),
        (0, "off", True, True),
    ],
)
def test_temperature_counts_unless_prompt_or_route_say_so(
    temperature: float | None, mode: Any, is_cached: bool, is_off: bool
) -> None:
    call = Call(
        principal=Principal(organization_id=1),
        surface="api",
        request_id="request-1",
        prompt=PromptUsed("greet", 1, PromptCache(mode=mode)),
    )
    route = dataclasses.replace(ROUTE, is_cached=is_cached)

    assert decide(ask(temperature=temperature), call, route).is_off == is_off


@pytest.mark.parametrize(
    ("of_prompt", "of_request", "seconds"),
    [(None, None, 3600), (60, None, 60), (60, 30, 30), (60, 600, 60), (7200, None, 7200)],
)
def test_an_answer_is_kept_as_long_as_the_prompt_says_and_the_caller_wants(
    of_prompt: int | None, of_request: int | None, seconds: int
) -> None:
    call = Call(
        principal=Principal(organization_id=1),
        surface="api",
        request_id="request-1",
        prompt=PromptUsed("greet", 1, PromptCache(seconds=of_prompt)),
        cache=CacheWish(seconds=of_request),
    )

    assert decide(ask(temperature=0.0), call, ROUTE).seconds == seconds


async def test_an_entry_ends_with_its_time(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    brief = replace(call, cache=CacheWish(seconds=60))
    await collect(ask(temperature=0.0), brief)
    route = await routes.find("test-model", call.principal)

    key = exact.key_for(ask(temperature=0.0), call, route, purge=0)
    left = await redis.client().ttl(key)

    assert 0 < left <= 60


async def test_each_mode_does_what_it_says(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    question = ask(temperature=0.0)
    asked = [
        ("read", 1),  # nothing there, and nothing kept
        ("off", 2),
        ("write", 3),  # kept
        ("off", 4),
        ("read", 4),
        ("write", 5),  # made anew, although there is one
        ("on", 5),
    ]
    for mode, requests in asked:
        await collect(question, replace(call, cache=CacheWish(mode=mode)))  # type: ignore[arg-type]
        assert len(vendor.requests) == requests, mode


async def test_an_answer_older_than_wanted_is_made_anew(
    vendor: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    await vendor.aserve()
    question = ask(temperature=0.0)
    await collect(question, call)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 50)
    for max_age, requests in ((100, 1), (10, 2), (100, 2)):
        await collect(question, replace(call, cache=CacheWish(max_age=max_age)))
        assert len(vendor.requests) == requests


async def test_rather_no_answer_than_a_new_one(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    wish = replace(call, cache=CacheWish(only_if_cached=True))
    for temperature in (0.0, 0.7):
        with pytest.raises(NotCached) as refused:
            await collect(ask(temperature=temperature), wish)
        assert refused.value.http_status == 504
    assert vendor.requests == []
    await collect(ask(temperature=0.0), call)

    assert text_of(await collect(ask(temperature=0.0), wish)) == Answer().text


def calls_of(events: list[Event]) -> tuple[str, str]:
    """Return the names and the arguments of all tool calls."""
    calls = [call for event in events if isinstance(event, Delta) for call in event.tool_calls]
    return "".join(call.name or "" for call in calls), "".join(call.arguments for call in calls)
