"""Runs: a model and our own tools in turn."""

import asyncio
import threading
from contextlib import aclosing
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from core.errors import InvalidRequest
from llm import service
from llm.tools import functions
from llm.tools.functions import ToolFailed
from llm.tools.run import RunLimit, RunLimitReached, ToolResult
from llm.types import Call, Delta, Event, FunctionDefinition, Tool
from tests.llm_support import MARKS, ask, recorded
from tests.vendor import Answer, FakeVendor

pytestmark = MARKS
Events = list[Event | ToolResult]


@pytest.fixture(autouse=True)
def _own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "_registered", {})
    functions.register(weather)
    functions.register(endless)
    functions.register(failing)
    functions.register(broken)


async def weather(
    city: Annotated[str, Field(description="A city's name")], unit: Literal["c", "f"] = "c"
) -> dict[str, Any]:
    """Tell the weather of a city."""
    return {"city": city, "degrees": Decimal("7.5"), "unit": unit}


async def endless() -> str:
    """Take for ever."""
    await asyncio.Event().wait()
    return "done"


async def failing() -> str:
    """Fail for a reason that the model may know."""
    raise ToolFailed("There is no such city.")


async def broken() -> str:
    """Fail by a fault of ours."""
    raise RuntimeError("secret insides")


def calling(*calls: tuple[str, str]) -> Answer:
    asked = [
        {"id": f"call-{number}", "name": name, "arguments": arguments}
        for number, (name, arguments) in enumerate(calls)
    ]
    return Answer(text="", tool_calls=asked, finish_reason="tool_calls")


async def run(call: Call, *tools: str, **more: Any) -> Events:
    limit = more.pop("limit", RunLimit())
    async with aclosing(service.run(ask(**more), call, tools=tools, limit=limit)) as events:
        return [event async for event in events]


def results(events: Events) -> list[str]:
    return [event.result for event in events if isinstance(event, ToolResult)]


def text(events: Events) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


def test_the_schema_is_made_from_the_signature() -> None:
    function = functions.registered("weather").definition.function

    assert (function.name, function.description) == ("weather", "Tell the weather of a city.")
    assert function.parameters is not None
    assert function.parameters["required"] == ["city"]
    assert function.parameters["properties"]["city"]["description"] == "A city's name"
    assert function.parameters["properties"]["unit"]["enum"] == ["c", "f"]


def test_a_function_that_says_too_little_is_refused() -> None:
    def nameless(city) -> str:  # type: ignore[no-untyped-def]
        return ""

    def any_number(*cities: str) -> str:
        return ""

    for function in (nameless, any_number):
        with pytest.raises(TypeError):
            functions.register(function)
    with pytest.raises(ValueError, match="already"):
        functions.register(weather)


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_the_model_gets_the_result_and_answers(
    vendor: FakeVendor, call: Call, is_streamed: bool
) -> None:
    await vendor.aserve()
    vendor.script(calling(("weather", '{"city": "Oslo"}')), Answer(text="It is 7.5 degrees."))

    events = await run(call, "weather", stream=is_streamed)

    assert text(events) == "It is 7.5 degrees."
    assert results(events) == ['{"city":"Oslo","degrees":"7.5","unit":"c"}']
    *_, said, told = vendor.requests[1].body["messages"]
    assert said["tool_calls"][0]["function"]["arguments"] == '{"city": "Oslo"}'
    assert (told["role"], told["tool_call_id"]) == ("tool", "call-0")
    assert len(await recorded()) == 2


async def test_calls_of_one_step_run_at_the_same_time(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    all_here = threading.Barrier(3, timeout=60)

    def meet() -> str:
        """Wait for the others, in a thread."""
        all_here.wait()
        return "done"

    functions.register(meet)
    vendor.script(calling(*[("meet", "{}")] * 3), Answer())

    assert results(await run(call, "meet")) == ["done"] * 3


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("weather", '{"city": "Os', "Error: the arguments do not fit."),
        ("weather", "{}", "Error: the arguments do not fit. city: Field required"),
        ("weather", '{"city": "Oslo", "unit": "k"}', "Error: the arguments do not fit. unit"),
        ("weather", '{"city": "Oslo", "day": 1}', "Error: the arguments do not fit. day"),
        ("failing", "", "Error: There is no such city."),
        ("broken", "{}", "Error: the tool failed."),
    ],
)
async def test_the_model_is_told_what_went_wrong(
    vendor: FakeVendor, call: Call, name: str, arguments: str, told: str
) -> None:
    await vendor.aserve()
    vendor.script(calling((name, arguments)), Answer())

    events = await run(call, name)

    assert results(events)[0].startswith(told)
    assert "secret" not in results(events)[0]


async def test_a_run_ends_at_its_steps(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(calling(("weather", '{"city": "Oslo"}')))

    with pytest.raises(RunLimitReached, match="3 steps"):
        await run(call, "weather", limit=RunLimit(steps=3))

    assert len(vendor.requests) == 3


async def test_a_run_ends_at_its_time(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(calling(("endless", "{}")))

    with pytest.raises(RunLimitReached, match="seconds"):
        await run(call, "endless", limit=RunLimit(seconds=1.5))

    assert len(vendor.requests) == 1


async def test_a_run_ends_at_its_cost(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(calling(("weather", '{"city": "Oslo"}')))
    cost = Decimal("0.000001")

    with pytest.raises(RunLimitReached, match="cost"):
        await run(call, "weather", limit=RunLimit(cost_usd=cost))

    assert len(vendor.requests) == 1
    assert ((await recorded())[0].cost_usd or 0) >= cost


async def test_a_limit_on_cost_needs_a_price(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve(model="model-without-a-price", prices_usd=None)
    vendor.script(calling(("weather", '{"city": "Oslo"}')))

    with pytest.raises(RunLimitReached, match="no price"):
        await run(call, "weather", limit=RunLimit(cost_usd=Decimal(1)))


async def test_the_clients_own_tools_are_left_to_the_client(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(calling(("weather", '{"city": "Oslo"}'), ("open_door", "{}")))
    own = Tool(FunctionDefinition("open_door"))

    events = await run(call, "weather", tools=(own,))

    assert results(events) == []
    assert len(vendor.requests) == 1


async def test_a_forced_tool_is_forced_once(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()
    vendor.script(calling(("weather", '{"city": "Oslo"}')), Answer())

    await run(call, "weather", tool_choice="required")

    assert vendor.requests[0].body["tool_choice"] == "required"
    assert "tool_choice" not in vendor.requests[1].body


async def test_an_unknown_tool_is_refused(vendor: FakeVendor, call: Call) -> None:
    await vendor.aserve()

    with pytest.raises(InvalidRequest, match="no tool"):
        await run(call, "unknown")
