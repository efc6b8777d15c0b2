"""Limits as callers meet them: who is counted and refused, what is given back, what is noted."""

import asyncio
import re
from collections.abc import Callable
from contextlib import aclosing

import pytest
from django.db import IntegrityError, transaction

from accounts.models import ApiKey, Organization, User
from core import redis
from llm import limits, service
from llm.errors import ProviderError
from llm.limits import LimitExceeded, estimates, shared
from llm.limits.admission import UNLIMITED
from llm.models import Limit, Scope
from llm.types import (
    Call,
    ChatRequest,
    Finished,
    FunctionCall,
    FunctionDefinition,
    Message,
    RateLimit,
    Started,
    Tool,
    ToolCall,
)
from tests.limits_support import alimit, call_by, is_admitted, refused
from tests.llm_support import MARKS, ask, collect, eventually
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS


@pytest.fixture
def other(transactional_db: None) -> Organization:
    return Organization.objects.create(name="Other", slug="other")


async def tokens_left(call: Call) -> int | None:
    """Return what is left of the tokens, as the next call is told that takes next to none."""
    await shared.close()  # what was given back has arrived
    admission = await limits.admit(ask("", max_tokens=1), call)
    assert admission.rate_limit is not None
    remaining = admission.rate_limit.remaining_tokens
    return None if remaining is None else remaining + 2


# --- Whom a rule counts for -----------------------------------------------------------------------


async def test_without_a_rule_nobody_is_asked(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alimit(scope=Scope.USER, requests=1)
    monkeypatch.setattr(redis, "client", None)

    assert await limits.admit(ask(), call_by(acme)) is UNLIMITED
    assert await limits.admit(ask(), call_by(acme, ip="192.0.2.1")) is UNLIMITED


async def test_each_of_a_scope_has_a_counter(acme: Organization, other: Organization) -> None:
    await alimit("Organizations", Scope.ORGANIZATION, requests=3)
    await alimit("Users", Scope.USER, requests=2)
    await alimit("Keys", Scope.API_KEY, requests=1)
    await alimit("Addresses", Scope.IP, requests=1)

    assert await is_admitted(call_by(acme, user=1, key=1))
    assert (await refused(call_by(acme, user=1, key=1))).details["limit"] == "Keys"
    assert await is_admitted(call_by(acme, user=1))
    assert (await refused(call_by(acme, user=1))).details["limit"] == "Users"
    assert await is_admitted(call_by(acme, user=2, ip="192.0.2.1"))
    assert (await refused(call_by(acme, user=3))).details["limit"] == "Organizations"
    assert await is_admitted(call_by(other, user=3))
    assert (await refused(call_by(other, ip="192.0.2.1"))).details["limit"] == "Addresses"
    assert await is_admitted(call_by(other, ip="192.0.2.2"))


async def test_a_rule_with_a_target_counts_for_nobody_else(
    acme: Organization, other: Organization
) -> None:
    await alimit(organization=acme, requests=1)

    assert [await is_admitted(call_by(acme)) for _ in range(2)] == [True, False]
    assert [await is_admitted(call_by(other)) for _ in range(2)] == [True, True]


async def test_a_new_lowered_or_removed_rule_is_in_force_within_a_second(
    acme: Organization, a_second_later: Callable[[], None]
) -> None:
    assert all([await is_admitted(call_by(acme)) for _ in range(5)])

    made = await Limit.objects.acreate(name="New", scope=Scope.ORGANIZATION, requests=2)
    a_second_later()
    assert [await is_admitted(call_by(acme)) for _ in range(3)] == [True, True, False]

    await Limit.objects.filter(pk=made.pk).aupdate(is_active=False)
    a_second_later()
    assert await is_admitted(call_by(acme))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": Scope.USER},
        {"scope": Scope.USER, "requests": 0},
        {"scope": Scope.USER, "tokens": 0},
        {"scope": Scope.USER, "parallel": 0},
        {"scope": Scope.USER, "requests": 1, "seconds": 0},
        {"scope": Scope.USER, "requests": 1, "seconds": 86_401},
        {"scope": Scope.USER, "requests": 1, "organization": "acme"},
        {"scope": Scope.IP, "requests": 1, "organization": "acme"},
        {"scope": Scope.ORGANIZATION, "requests": 1, "user": "ada"},
        {"scope": Scope.ORGANIZATION, "requests": 1, "api_key": "key"},
    ],
)
def test_the_database_refuses_a_rule_that_says_nothing(
    acme: Organization, wrong: dict[str, object]
) -> None:
    key = ApiKey.objects.create(organization=acme, name="key", prefix="pk-", key_hash="x")
    targets = {"acme": acme, "ada": User.objects.create(username="ada"), "key": key}

    with pytest.raises(IntegrityError), transaction.atomic():
        Limit.objects.create(
            name="Wrong", **{name: targets.get(str(value), value) for name, value in wrong.items()}
        )


# --- What is refused, and what is said ------------------------------------------------------------


async def test_a_refusal_names_the_limit_and_when_to_come_again(acme: Organization) -> None:
    await alimit("Trial", requests=2, seconds=60)
    await is_admitted(call_by(acme))
    await is_admitted(call_by(acme))

    error = await refused(call_by(acme))

    assert (error.code, error.http_status) == ("rate_limit_exceeded", 429)
    assert error.retry_after == pytest.approx(60, abs=20)
    assert "The limit “Trial” allows an organization 2 requests a minute." in error.message
    assert re.search(r"Try again in \d\d seconds\.$", error.message)
    assert error.rate_limit.remaining_requests == 0


async def test_of_several_refusals_the_longest_wait_is_told(acme: Organization) -> None:
    await alimit("Short", requests=1, seconds=10)
    await alimit("Long", requests=1, seconds=3600)
    await alimit("Roomy", requests=100, tokens=1_000_000)
    await is_admitted(call_by(acme))

    error = await refused(call_by(acme))

    assert error.details["limit"] == "Long"
    assert error.retry_after == pytest.approx(3600, abs=59)
    assert "60 minutes" in error.message


async def test_what_refuses_counts_nowhere_else(acme: Organization) -> None:
    await alimit("Narrow", Scope.USER, requests=1)
    await alimit("Wide", requests=10, tokens=10_000)
    await is_admitted(call_by(acme, user=1))
    for _ in range(5):
        await refused(call_by(acme, user=1))

    admission = await limits.admit(ask(max_tokens=99), call_by(acme))

    assert admission.rate_limit is not None
    assert admission.rate_limit.remaining_requests == 8


async def test_a_call_larger_than_the_limit_is_told_so(acme: Organization) -> None:
    await alimit("Small", tokens=100)

    error = await refused(call_by(acme), ask(max_tokens=500))

    assert error.retry_after is None
    assert "100 tokens a minute" in error.message
    assert "Ask for less at once." in error.message


async def test_the_tightest_figures_are_told(acme: Organization) -> None:
    await alimit("Wide", requests=100, tokens=100_000)
    await alimit("Narrow", Scope.USER, requests=10, tokens=50_000, seconds=1)

    admission = await limits.admit(ask("x" * 400, max_tokens=99), call_by(acme, user=1))

    told = admission.rate_limit
    assert isinstance(told, RateLimit)
    assert (told.limit_requests, told.remaining_requests) == (10, 9)
    assert (told.limit_tokens, told.remaining_tokens) == (50_000, 49_800)
    assert told.reset_requests == pytest.approx(1, abs=0.1)


async def test_large_figures_take_no_room_in_redis(acme: Organization) -> None:
    made = await alimit(requests=1_000_000, tokens=2_000_000, seconds=86_400)

    admission = await limits.admit(ask(max_tokens=100_000), call_by(acme))

    assert admission.rate_limit is not None
    assert admission.rate_limit.remaining_requests == 999_999
    keys = [key async for key in redis.client().scan_iter(f"*limits:{{{made.pk}:*")]
    assert len(keys) == 2
    assert sum([await redis.client().memory_usage(key) or 0 for key in keys]) < 500


# --- What a call takes in the end -----------------------------------------------------------------


async def test_an_answer_is_counted_by_what_it_used(vendor: FakeVendor, acme: Organization) -> None:
    await vendor.aserve()
    await alimit(tokens=10_000, requests=100, parallel=5)

    started, *_, finished = await collect(ask(max_tokens=4000), call_by(acme))

    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert started.rate_limit is not None
    assert started.rate_limit.remaining_tokens == 10_000 - estimates.tokens(ask(max_tokens=4000))
    assert await tokens_left(call_by(acme)) == 10_000 - 15  # as the vendor reports


async def test_a_call_that_nobody_answered_takes_no_tokens(
    vendor: FakeVendor, acme: Organization
) -> None:
    vendor.script(Answer(status=400, error={"message": "no"}))
    await vendor.aserve()
    await alimit(tokens=10_000, parallel=1)

    for _ in range(3):  # and no place among the calls at once
        with pytest.raises(ProviderError):
            await collect(ask(max_tokens=4000), call_by(acme))
        await shared.close()

    assert await tokens_left(call_by(acme)) == 10_000


async def test_a_stopped_answer_keeps_its_estimate_and_frees_its_place(
    vendor: FakeVendor, acme: Organization
) -> None:
    vendor.script(Answer(gate=Gate(), gate_after=1))
    await vendor.aserve()
    await alimit(tokens=10_000, parallel=1)

    async with aclosing(service.stream(ask(max_tokens=4000), call_by(acme))) as events:
        assert isinstance(await anext(events), Started)

    expected = 10_000 - estimates.tokens(ask(max_tokens=4000))
    assert await tokens_left(call_by(acme)) == expected


async def test_an_answer_from_the_cache_takes_no_tokens(
    vendor: FakeVendor, acme: Organization
) -> None:
    await vendor.aserve(is_cached=True)
    await collect(ask(), call_by(acme))
    await alimit(tokens=10_000, requests=10)

    started, *_ = await collect(ask(), call_by(acme))

    assert isinstance(started, Started)
    assert started.is_cache_hit
    assert started.rate_limit is not None
    assert await tokens_left(call_by(acme)) == 10_000


async def test_no_more_calls_at_once_than_allowed(vendor: FakeVendor, acme: Organization) -> None:
    gate = Gate()
    vendor.script(Answer(gate=gate))
    await vendor.aserve()
    await alimit("Two", parallel=2)

    asking = [asyncio.create_task(collect(ask(), call_by(acme))) for _ in range(6)]
    await eventually(lambda: sum(task.done() for task in asking) == 4)
    gate.open()
    results = await asyncio.gather(*asking, return_exceptions=True)

    errors = [result for result in results if isinstance(result, LimitExceeded)]
    assert (len(errors), len(vendor.requests)) == (4, 2)
    assert "2 calls at once" in errors[0].message
    assert errors[0].retry_after == 1
    await shared.close()
    await collect(ask(), call_by(acme))


async def test_who_leaves_frees_the_place(vendor: FakeVendor, acme: Organization) -> None:
    vendor.script(Answer(fault="stall"))
    await vendor.aserve()
    await alimit(parallel=1)
    asking = asyncio.create_task(collect(ask(), call_by(acme)))
    await eventually(lambda: bool(vendor.requests))

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await shared.close()

    assert await is_admitted(call_by(acme))


async def test_released_twice_counts_once(acme: Organization) -> None:
    await alimit(tokens=10_000)
    first = await limits.admit(ask(max_tokens=1000), call_by(acme))
    await limits.admit(ask(max_tokens=1000), call_by(acme))

    await first.release(None)
    await first.release(None)

    assert await tokens_left(call_by(acme)) == 10_000 - estimates.tokens(ask(max_tokens=1000))


def test_tools_and_their_arguments_are_part_of_the_guess() -> None:
    long = "word " * 4000
    tools = (Tool(FunctionDefinition("search", long)),)
    called = ToolCall("call-1", FunctionCall("search", long))
    message = Message("assistant", tool_calls=(called,))

    assert estimates.tokens(ask(tools=tools)) > 5000
    assert estimates.tokens(ChatRequest(model="m", messages=(message,))) > 5000
