"""The events of a call: its story is told, and its end once."""

from contextlib import aclosing
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from structlog.typing import EventDict

from billing.errors import BudgetExceeded
from billing.models import Budget
from llm import errors, service
from llm.types import Call
from tests.llm_support import MARKS, ask, collect, until_said
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = MARKS


def named(logs: list[EventDict], *names: str) -> list[EventDict]:
    return [entry for entry in logs if entry["event"] in names]


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
    vendor.script(Answer(text="one two three four", gate=Gate(), gate_after=2))

    with capture_logs() as logs:
        async with aclosing(service.stream(ask(), call)) as events:
            await until_said(events, "one two")

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
