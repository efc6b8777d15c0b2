"""Who is asked for a request: what fits, which steps are for which calls, and why nobody can."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from msgspec.structs import replace
from pytest_django import Settings

from core.errors import InvalidRequest
from llm import tokens
from llm.errors import ContextTooLong, ModelNotFound, ModelUnpriced
from llm.models import Route
from llm.routing import routes
from llm.types import (
    Call,
    ChatRequest,
    FunctionDefinition,
    ImagePart,
    ImageUrl,
    Message,
    TextPart,
    Tool,
)
from tests.llm_support import MARKS, ask
from tests.routing_support import deploy, names, planned, route

pytestmark = MARKS

PICTURE = ImagePart(ImageUrl("https://example.com/cat.png"))
WITH_IMAGE: dict[str, Any] = {"messages": (Message("user", (TextPart("What is it?"), PICTURE)),)}
WITH_TOOLS: dict[str, Any] = {"tools": (Tool(FunctionDefinition("look_up")),)}
WITH_SCHEMA: dict[str, Any] = {"response_format": {"type": "json_schema", "json_schema": {}}}
LONG = "word " * 3000


@pytest.mark.parametrize(
    ("lacking", "change", "param"),
    [
        ("takes_images", WITH_IMAGE, "messages"),
        ("takes_tools", WITH_TOOLS, "tools"),
        ("takes_schema", WITH_SCHEMA, "response_format"),
    ],
)
async def test_who_does_not_take_what_the_request_has_is_passed_over(
    call: Call, lacking: str, change: dict[str, Any], param: str
) -> None:
    lacks: dict[str, Any] = {lacking: False}

    def arrange() -> Route:
        return route(deploy("plain", **lacks), deploy("able"))

    await sync_to_async(arrange)()

    assert names((await planned(ask(), call)).ordinary) == ["plain", "able"]
    assert names((await planned(replace(ask(), **change), call)).ordinary) == ["able"]

    await sync_to_async(lambda: route(deploy("other", **lacks), alias="plain-only"))()
    with pytest.raises(InvalidRequest, match="No model behind plain-only takes") as caught:
        await planned(replace(ask(model="plain-only"), **change), call)
    assert caught.value.param == param


async def test_the_error_names_all_that_nobody_takes_together(call: Call) -> None:
    def arrange() -> Route:
        return route(deploy("blind", takes_images=False), deploy("clumsy", takes_tools=False))

    await sync_to_async(arrange)()

    with pytest.raises(InvalidRequest, match="takes images and tools"):
        await planned(replace(ask(), **WITH_IMAGE, **WITH_TOOLS), call)


async def test_the_error_is_that_of_the_one_that_came_closest(call: Call) -> None:
    def arrange() -> Route:
        return route(deploy("blind", takes_images=False), deploy("small", context_tokens=100))

    await sync_to_async(arrange)()

    with pytest.raises(ContextTooLong, match="more than the 100 tokens"):
        await planned(replace(ask(), **WITH_IMAGE), call)


async def test_who_has_no_price_is_passed_over_where_the_settings_refuse_that(
    call: Call, settings: Settings
) -> None:
    await sync_to_async(lambda: route(deploy("unpriced", usd=None), deploy("priced")))()
    assert names((await planned(ask(), call)).ordinary) == ["unpriced", "priced"]

    settings.UNPRICED_MODELS = "refuse"

    assert names((await planned(ask(), call)).ordinary) == ["priced"]
    await sync_to_async(lambda: route(deploy("another", usd=None), alias="unpriced-only"))()
    with pytest.raises(ModelUnpriced):
        await planned(ask(model="unpriced-only"), call)


async def test_the_cheapest_that_fits_is_asked_first(call: Call) -> None:
    def arrange() -> Route:
        return route(
            deploy("dear", usd=("10", "30")),
            deploy("cheap-but-small", usd=("0.1", "0.1"), context_tokens=1000),
            deploy("cheap", usd=("1", "2")),
            strategy="cheapest",
        )

    await sync_to_async(arrange)()

    short, long = await planned(ask(), call), await planned(ask(LONG), call)

    assert names(short.ordinary) == ["cheap-but-small", "cheap", "dear"]
    assert names(long.ordinary) == ["cheap", "dear"]


# --- Tasks --------------------------------------------------------------------------------------


async def test_a_task_has_steps_of_its_own_and_the_others_to_fall_back_to(call: Call) -> None:
    def arrange() -> Route:
        return route(
            deploy("strong"),
            (deploy("small"), {"tasks": "classify, extract"}),
            (deploy("tiny"), {"tasks": "classify"}),
            deploy("spare"),
        )

    await sync_to_async(arrange)()

    orders = {
        task: names((await planned(ask(), replace(call, task=task))).ordinary)
        for task in ("", "classify", "extract", "poetry")
    }

    assert orders == {
        "": ["strong", "spare"],
        "classify": ["small", "tiny", "strong", "spare"],
        "extract": ["small", "strong", "spare"],
        "poetry": ["strong", "spare"],
    }


async def test_a_route_for_tasks_only_says_which(call: Call) -> None:
    await sync_to_async(lambda: route((deploy("small"), {"tasks": "extract,classify"})))()

    with pytest.raises(InvalidRequest, match="only calls for a task: classify, extract"):
        await planned(ask(), call)


# --- Roles --------------------------------------------------------------------------------------


async def test_steps_for_errors_stand_by_and_are_not_asked_otherwise(call: Call) -> None:
    def arrange() -> Route:
        return route(
            (deploy("large"), {"role": "too_long"}),
            deploy("usual", context_tokens=1000),
            (deploy("lenient"), {"role": "filtered"}),
            is_hedged=True,
        )

    await sync_to_async(arrange)()

    plan = await planned(ask(), call)

    assert names(plan.ordinary) == ["usual"]
    assert names(plan.when_too_long) == ["large"]
    assert names(plan.when_filtered) == ["lenient"]
    assert plan.is_hedged


@pytest.mark.parametrize("change", [{"text": LONG}, {"max_tokens": 500}])
async def test_what_is_too_long_for_the_others_goes_where_there_is_room(
    call: Call, change: dict[str, Any]
) -> None:
    def arrange() -> Route:
        usual = deploy("usual", context_tokens=1000, max_output_tokens=100)
        return route(usual, (deploy("large"), {"role": "too_long"}))

    await sync_to_async(arrange)()

    plan = await planned(ask(**change), call)

    assert names(plan.ordinary) == ["large"]
    assert plan.when_too_long == ()  # it has been asked by then


async def test_a_larger_window_is_no_help_to_who_cannot_see(call: Call) -> None:
    def arrange() -> Route:
        return route(deploy("blind", takes_images=False), (deploy("large"), {"role": "too_long"}))

    await sync_to_async(arrange)()

    with pytest.raises(InvalidRequest, match="takes images"):
        await planned(replace(ask(), **WITH_IMAGE), call)


# --- The hot path -------------------------------------------------------------------------------


async def test_words_are_counted_once_for_each_encoding(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrange() -> Route:
        return route(
            deploy("gpt-4o"),
            deploy("gpt-4.1"),
            (deploy("gpt-5"), {"role": "too_long"}),
            deploy("gpt-3.5-turbo"),
        )

    counted: list[str] = []
    once = tokens.measure_soon

    async def counting(request: ChatRequest, model: str) -> tokens.Counted:
        counted.append(model)
        return await once(request, model)

    monkeypatch.setattr(tokens, "measure_soon", counting)
    await sync_to_async(arrange)()

    await planned(ask(), call)

    assert counted == ["gpt-4o", "gpt-3.5-turbo"]


async def test_a_long_text_does_not_hold_up_the_others(call: Call) -> None:
    await sync_to_async(lambda: route(deploy("usual"), deploy("spare")))()
    await planned(ask(), call)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    meanwhile = asyncio.create_task(others())
    await planned(ask("What about this? " * 100_000), call)
    meanwhile.cancel()

    assert turns > 0


# --- In force within a second -------------------------------------------------------------------


async def test_an_edit_is_in_force_within_a_second(
    call: Call, a_second_later: Callable[[], None]
) -> None:
    made = await sync_to_async(lambda: route(deploy("before"), deploy("after")))()
    assert names((await planned(ask(), call)).ordinary) == ["before", "after"]

    await made.steps.filter(deployment__model="before").aupdate(position=9)

    a_second_later()

    assert names((await planned(ask(), call)).ordinary) == ["after", "before"]


async def test_an_inactive_route_is_not_found(call: Call) -> None:
    made = await sync_to_async(lambda: route(deploy("usual")))()
    await Route.objects.filter(pk=made.pk).aupdate(is_active=False)
    routes.forget()

    with pytest.raises(ModelNotFound):
        await planned(ask(), call)
