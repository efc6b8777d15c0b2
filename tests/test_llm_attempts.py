"""The loop: who is asked after which error, how often, until when, and what is told of it."""

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from structlog.typing import EventDict

from billing.errors import BudgetExceeded
from billing.models import Budget
from llm import attempts, credentials, errors, retry_budget, service
from llm.attempts import Policy
from llm.models import Deployment, RouteDeployment
from llm.providers import Connection
from llm.providers import Deployment as Served
from llm.retry_budget import FLOOR, RetryBudget
from llm.routing import plan, routes
from llm.routing.plan import Fitting, Plan
from llm.types import Call, Event, Started
from tests.llm_support import MARKS, ask, collect, eventually, recorded
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS

TOO_LONG = Answer(status=400, error={"code": "context_length_exceeded", "message": "too long"})
FILTERED = Answer(status=400, error={"code": "content_filter", "message": "no"})


def served_by(events: list[Event]) -> str:
    started = events[0]
    assert isinstance(started, Started)
    return f"{started.provider}/{started.model}"


async def only_when(deployment: Deployment, role: str) -> None:
    await RouteDeployment.objects.filter(deployment=deployment).aupdate(role=role)
    routes.forget()


def named(logs: list[EventDict], *names: str) -> list[EventDict]:
    return [entry for entry in logs if entry["event"] in names]


# What the first deployment says, how often it is asked, and whether the next one is asked as well.
ERRORS = {
    "AuthenticationFailed": (Answer(status=401), 1, True),
    "ProviderPermissionDenied": (Answer(status=403), 1, True),
    "RequestRefused": (Answer(status=400), 1, False),
    "ContextTooLong": (TOO_LONG, 1, False),
    "ContentFiltered": (FILTERED, 1, False),
    "ModelMissing": (Answer(status=404), 1, True),
    "RateLimited": (Answer(status=429), 3, True),
    "Overloaded": (Answer(status=529), 3, True),
    "TimedOut": (Answer(status=408), 3, True),
    "ConnectionFailed": (Answer(fault="close"), 3, True),
    "MalformedAnswer": (Answer(fault="malformed", after=0), 3, True),
    "ServerError": (Answer(status=500), 3, True),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_each_error_is_retried_and_falls_back_as_its_class_says(
    vendor: FakeVendor, spare: FakeVendor, call: Call, name: str
) -> None:
    answer, times, falls_back = ERRORS[name]
    await vendor.aserve()
    await spare.aserve()
    vendor.script(answer)

    if falls_back:
        assert served_by(await collect(ask(), call)).startswith("spare/")
    else:
        with pytest.raises(getattr(errors, name)):
            await collect(ask(), call)

    kind = getattr(errors, name)
    assert (len(vendor.requests), len(spare.requests)) == (times, int(falls_back))
    assert {row.error_class for row in await recorded()} - {""} == {name}
    assert kind.is_retryable == (times > 1)
    assert kind.can_fall_back == falls_back


def test_every_error_of_a_vendor_is_in_the_table() -> None:
    assert set(ERRORS) == {kind.__name__ for kind in errors.ProviderError.__subclasses__()}


async def test_a_wait_that_the_deadline_has_no_room_for_is_not_waited(
    vendor: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "POLICY", Policy(base_delay=0.001, first_content=2))
    await vendor.aserve()
    vendor.script(Answer(status=429, headers={"Retry-After": "3"}))
    started_at = time.monotonic()

    with pytest.raises(errors.RateLimited) as failed:
        await collect(ask(), call)

    assert time.monotonic() - started_at < 1
    assert failed.value.retry_after == 3
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_deployment_has_its_own_patience(
    vendor: FakeVendor, spare: FakeVendor, call: Call, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "POLICY", Policy(retries=0))
    patience: dict[str, Any] = {"first_token_seconds" if stream else "total_seconds": 0.1}
    await vendor.aserve(**patience)
    await spare.aserve()
    vendor.script(Answer(fault="stall"))

    events = await collect(ask(stream=stream), call)

    assert served_by(events).startswith("spare/")
    assert [row.error_class for row in await recorded()] == ["TimedOut", ""]
    await eventually(lambda: vendor.cancelled == 1)


# --- The retry budget -----------------------------------------------------------------------------


def test_a_tenth_of_the_calls_may_be_repeated_and_a_few_more() -> None:
    now = [100.0]
    budget = RetryBudget(clock=lambda: now[0])
    for _ in range(200):
        budget.note_call()

    assert sum(budget.take() for _ in range(100)) == FLOOR + 20
    now[0] += 9
    assert not budget.take()
    now[0] += 1
    assert sum(budget.take() for _ in range(100)) == FLOOR
    now[0] += 1000
    assert sum(budget.take() for _ in range(100)) == FLOOR


async def test_without_a_budget_there_is_no_retry_but_a_fallback(
    vendor: FakeVendor, spare: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_budget, "FLOOR", 0)
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(status=500))

    assert served_by(await collect(ask(), call)).startswith("spare/")
    assert len(vendor.requests) == 1


async def test_an_outage_is_not_made_worse_by_retries(
    vendor: FakeVendor, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm.health.breaker.FAILURES_IN_A_ROW", 1000)
    monkeypatch.setattr("llm.health.breaker.FEWEST_CALLS", 1000)
    monkeypatch.setattr("llm.health.watch.FAILURES_IN_A_ROW", 1000)
    await vendor.aserve()
    vendor.script(Answer(status=503))

    await asyncio.gather(*(collect(ask(), call) for _ in range(50)), return_exceptions=True)

    assert 50 < len(vendor.requests) <= 50 + FLOOR + 5


# --- Keys -----------------------------------------------------------------------------------------


@pytest.fixture
def keys(vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A plan over one deployment with three keys, of which a refused one is not chosen again."""
    connections = tuple(
        Connection(name="vendor", kind="openai", base_url=f"{vendor.url}/v1", api_key=f"key-{n}")
        for n in (1, 2, 3)
    )
    refused: list[Connection] = []

    def left() -> list[Connection]:
        return [connection for connection in connections if connection not in refused]

    def choose(deployment: Served) -> Connection:
        if not left():
            raise errors.AuthenticationFailed("There is no key left.")
        return left()[0]

    def set_aside(_: Served, connection: Connection, error: errors.ProviderError) -> bool:
        if not isinstance(error, errors.AuthenticationFailed | errors.ProviderPermissionDenied):
            return False
        refused.append(connection)
        return bool(left())

    monkeypatch.setattr(credentials, "choose", choose)
    monkeypatch.setattr(credentials, "set_aside", set_aside)
    return Plan(
        alias="test-model",
        ordinary=(Fitting(Served(id=990_001, connections=connections, model="m"), 9, 100),),
    )


async def answered(who: Plan, call: Call) -> list[Event]:
    async with aclosing(attempts.stream(ask(), call, who)) as events:
        return [event async for event in events]


async def test_a_refused_key_is_replaced_at_once(
    vendor: FakeVendor, call: Call, keys: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "POLICY", Policy(retries=0))
    vendor.script(Answer(status=401), Answer(status=403), Answer())

    await answered(keys, call)

    used = [request.headers["Authorization"] for request in vendor.requests]
    assert used == ["Bearer key-1", "Bearer key-2", "Bearer key-3"]
    assert [row.error_class for row in await recorded()] == [
        "AuthenticationFailed",
        "ProviderPermissionDenied",
        "",
    ]


async def test_there_are_no_more_tries_than_keys(
    vendor: FakeVendor, call: Call, keys: Plan
) -> None:
    vendor.script(Answer(status=401))

    with pytest.raises(errors.AuthenticationFailed):
        await answered(keys, call)
    assert len(vendor.requests) == 3

    with pytest.raises(errors.AuthenticationFailed, match="no key left"):
        await answered(keys, call)
    assert len(vendor.requests) == 3


# --- Fallback -------------------------------------------------------------------------------------


async def test_too_long_for_one_goes_to_a_larger_window_alone(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve(context_tokens=10_000)
    await spare.aserve(model="smaller", context_tokens=9_000)
    await spare.aserve(model="unknown")
    await spare.aserve(model="larger", context_tokens=20_000)
    vendor.script(TOO_LONG)

    events = await collect(ask(), call)

    assert served_by(events) == "spare/larger"
    assert len(spare.requests) == 1


async def test_too_long_goes_where_the_route_says_so_first(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve(context_tokens=10_000)
    await spare.aserve(model="larger", context_tokens=20_000)
    await only_when(await spare.aserve(model="for-long-ones"), "too_long")
    vendor.script(TOO_LONG)

    assert served_by(await collect(ask(), call)) == "spare/for-long-ones"


async def test_what_a_filter_refuses_goes_where_the_route_says_so(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve(model="ordinary")
    await only_when(await spare.aserve(model="for-filtered"), "filtered")
    vendor.script(FILTERED)

    assert served_by(await collect(ask(), call)) == "spare/for-filtered"
    assert [row.outcome for row in await recorded()] == ["filtered", "success"]


# --- Deployments that have a cooldown -------------------------------------------------------------


async def test_a_failing_deployment_is_passed_over(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve()
    made_before = await plan.make(ask(), call, await routes.find("test-model", call.principal))
    vendor.script(Answer(status=500))
    await collect(ask(), call)
    await collect(ask(), call)
    assert len(vendor.requests) == 5  # the fifth failure in a row opens; no retry after that

    with capture_logs() as logs:
        events = await answered(made_before, call)

    assert served_by(events).startswith("spare/")
    assert len(vendor.requests) == 5
    [passed_over] = named(logs, "llm.fallback")
    assert (passed_over["from"], passed_over["error"]) == ("vendor/vendor-model", "NoDeployment")


async def test_when_all_are_given_a_rest_nobody_is_called(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=500))
    for _ in range(2):
        with pytest.raises(errors.ServerError):
            await collect(ask(), call)
    asked = len(vendor.requests)

    with pytest.raises(errors.NoDeployment, match="test-model") as refused:
        await collect(ask(), call)

    assert len(vendor.requests) == asked == 5
    assert refused.value.http_status == 503
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 6
    assert "vendor" not in refused.value.message


async def test_who_limits_the_rate_shortly_is_waited_for(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=429, headers={"retry-after-ms": "300"}), Answer())
    first = asyncio.create_task(collect(ask(), call))
    await eventually(lambda: len(vendor.requests) == 1)
    await asyncio.sleep(0.05)

    started_at = time.monotonic()
    await collect(ask(), call)

    assert time.monotonic() - started_at > 0.1
    await first
    assert len(vendor.requests) == 3


async def test_who_limits_the_rate_for_long_is_not_asked_meanwhile(
    vendor: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    vendor.script(Answer(status=429, headers={"Retry-After": "30"}))

    for _ in range(2):
        with pytest.raises(errors.RateLimited) as refused:
            await collect(ask(), call)
        assert refused.value.retry_after is not None
        assert 25 < refused.value.retry_after <= 30

    assert len(vendor.requests) == 1


# --- Events ---------------------------------------------------------------------------------------


async def test_the_story_of_a_fallback_is_told(
    vendor: FakeVendor, spare: FakeVendor, call: Call
) -> None:
    await vendor.aserve()
    await spare.aserve()
    vendor.script(Answer(status=500))

    with capture_logs() as logs:
        await collect(ask("A secret question?"), call)

    story = [entry for entry in logs if str(entry["event"]).startswith("llm.")]
    assert [entry["event"] for entry in story] == [
        "llm.attempt",
        "llm.retry",
        "llm.attempt",
        "llm.retry",
        "llm.attempt",
        "llm.fallback",
        "llm.attempt",
        "llm.first_token",
        "llm.complete",
    ]
    assert {entry["request_id"] for entry in story} == {"request-1"}
    first, retry = story[:2]
    assert (first["provider"], first["model"]) == ("vendor", "vendor-model")
    assert (first["attempt"], first["alias"]) == (1, "test-model")
    assert (retry["error"], retry["attempt"], retry["log_level"]) == ("ServerError", 1, "warning")
    assert retry["wait_ms"] >= 0
    fallback = story[5]
    assert (fallback["from"], fallback["to"]) == ("vendor/vendor-model", "spare/vendor-model")
    assert fallback["error"] == "ServerError"
    assert story[7]["ttft_ms"] >= 0
    expected: dict[str, Any] = {
        "outcome": "success",
        "finish_reason": "stop",
        "attempts": 4,
        "is_cache_hit": False,
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_usd": "0.000020000000",
        "error": "",
        "log_level": "info",
    }
    complete = story[8]
    assert {name: complete[name] for name in expected} == expected
    assert complete["total_ms"] >= 0
    assert "secret question" not in str(logs)
    assert "Hello from the vendor" not in str(logs)


async def test_a_failed_call_is_complete_once(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="one two three", fault="close", after=2))

    with capture_logs() as logs, pytest.raises(errors.ConnectionFailed):
        await collect(ask(), call)

    [complete] = named(logs, "llm.complete")
    assert (complete["outcome"], complete["error"]) == ("failed", "ConnectionFailed")
    assert (complete["output_tokens"], complete["log_level"]) == (2, "warning")


async def test_a_stopped_call_is_complete_once(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(Answer(text="one two three four", pause=0.05))

    with capture_logs() as logs:
        async with aclosing(service.stream(ask(), call)) as events:
            [await anext(events) for _ in range(3)]

    [complete] = named(logs, "llm.complete")
    assert (complete["outcome"], complete["error"]) == ("stopped", "")
    assert complete["output_tokens"] == 2


async def test_a_call_without_a_budget_is_complete_once(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    await Budget.objects.acreate(
        organization_id=call.principal.organization_id, name="Small", limit_usd="0.000001"
    )

    with capture_logs() as logs, pytest.raises(BudgetExceeded):
        await collect(ask(), call)

    assert named(logs, "llm.attempt") == []
    [complete] = named(logs, "llm.complete")
    assert (complete["outcome"], complete["error"]) == ("failed", "BudgetExceeded")


async def test_an_answer_from_the_cache_is_complete_once(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    question = replace(ask(), temperature=0.0)
    await collect(question, call)

    with capture_logs() as logs:
        await collect(question, call)

    assert [entry["event"] for entry in named(logs, "llm.attempt", "llm.complete")] == [
        "llm.complete"
    ]
    [complete] = named(logs, "llm.complete")
    assert (complete["is_cache_hit"], complete["outcome"]) == (True, "success")
    assert complete["cost_usd"] == "0"
