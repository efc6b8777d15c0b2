"""The loop: who is asked after which error, how often, and until when."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from llm import attempts, errors, retry_budget
from llm.attempts import Policy
from llm.retry_budget import FLOOR, RetryBudget
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
    policy = Policy(base_delay=0.001, first_content=60, longest_wait=600)
    monkeypatch.setattr(attempts, "POLICY", policy)
    await vendor.aserve()
    vendor.script(Answer(status=429, headers={"Retry-After": "300"}))

    with capture_logs() as logs, pytest.raises(errors.RateLimited) as failed:
        await collect(ask(), call)

    assert named(logs, "llm.retry") == []
    assert failed.value.retry_after == 300
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
    # Where the machine was so slow that the call had not left, there is nothing to hang up on.
    await eventually(lambda: vendor.cancelled == len(vendor.requests))


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
    budget = RetryBudget(clock=lambda: 100.0)
    monkeypatch.setattr(retry_budget, "of", lambda provider: budget)
    await vendor.aserve()
    vendor.script(Answer(status=503))

    await asyncio.gather(*(collect(ask(), call) for _ in range(50)), return_exceptions=True)

    assert 50 < len(vendor.requests) <= 50 + FLOOR + 5
