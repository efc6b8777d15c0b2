"""The only door to a model."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from pydantic import BaseModel

from accounts.principal import Principal
from llm import (
    attempts,
    caching,
    credentials,
    guard,
    guardrails,
    health,
    limits,
    metering,
    structured,
    tokens,
)
from llm.errors import ModelNotFound
from llm.providers import http
from llm.routing import plan, routes
from llm.routing.routes import Route
from llm.structured import Parsed
from llm.tools.run import RunLimit, ToolResult
from llm.tools.run import run as run_tools
from llm.types import Call, ChatRequest, Event, Finished, ModelOffer, Started

RUN_LIMIT = RunLimit()


async def stream(request: ChatRequest, call: Call) -> AsyncGenerator[Event, None]:
    """Answer `request` at the caller's expense: `Started`, `Delta`s, `Finished`.

    Raises an `AppError`: before `Started` nothing was answered, after it the answer is broken off.
    Closing the generator stops the model and settles what it has produced.
    """
    guard.check(request)
    route = routes.narrowed(await routes.find(request.model, call.principal), call.routing)
    admission = await limits.admit(request, call)
    finished: Finished | None = None
    try:
        request = await guardrails.check_request(request, call)
        answer = partial(_ask, request, call, route)
        made = caching.stream(request, call, route, answer)
        async with aclosing(guardrails.watch(made, call)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    finished = event
                yield admission.mark(event) if isinstance(event, Started) else event
    finally:
        await admission.release(finished)


async def parse(
    request: ChatRequest, schema: type[BaseModel] | dict[str, Any], call: Call
) -> Parsed[Any]:
    """Return the answer as an instance of the pydantic model, or as JSON that fits the schema.

    Where no deployment of the route takes a schema, the model is made to call a tool that has it.
    What does not fit is asked for once more, with the error. Raises `InvalidRequest` for what is no
    schema, `AnswerInvalid` after the second try, and what `stream` raises.
    """
    return await structured.parse(request, schema, call, stream)


async def run(
    request: ChatRequest, call: Call, *, tools: Sequence[str], limit: RunLimit = RUN_LIMIT
) -> AsyncGenerator[Event | ToolResult, None]:
    """Answer with the help of our own tools: the events of each step, a `ToolResult` for each call.

    `tools` are names of registered functions (`llm.tools.functions.register`). Raises
    `RunLimitReached` where the next step would be one too many, and what `stream` raises.
    """
    async with aclosing(run_tools(request, call, tools, limit, stream)) as events:
        async for event in events:
            yield event


async def count_tokens(request: ChatRequest, principal: Principal) -> int:
    """Return about how many tokens of input the request is to whom it would be sent to first."""
    route = await routes.find(request.model, principal)
    if not route.steps:
        raise ModelNotFound(f"{route.alias} has no model yet.", param="model")
    model = route.steps[0].deployment.model
    return (await tokens.measure_soon(request, model)).by(model)


async def models(principal: Principal) -> list[ModelOffer]:
    """Return what the caller may ask for."""
    return await routes.offers(principal)


async def close() -> None:
    """Finish what is owed to the books and hang up, when the process ends."""
    await caching.close()
    await limits.close()
    await guardrails.close()  # it may still ask for moderation, which has books of its own
    await metering.finish_open_work()
    await credentials.close()
    await health.close()
    await http.close()


async def _ask(request: ChatRequest, call: Call, route: Route) -> AsyncGenerator[Event, None]:
    """Answer by a model, where no cache does."""
    who = await plan.make(request, call, route)
    async with aclosing(attempts.stream(request, call, who)) as events:
        async for event in events:
            yield event
