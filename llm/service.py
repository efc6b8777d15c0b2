"""The only door to a model."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from accounts.principal import Principal
from llm import attempts, guard, metering, routing
from llm.providers import http
from llm.types import Call, ChatRequest, Event, ModelOffer


async def stream(request: ChatRequest, call: Call) -> AsyncGenerator[Event, None]:
    """Answer `request` at the caller's expense: `Started`, `Delta`s, `Finished`.

    Raises an `AppError`: before `Started` nothing was answered, after it the answer is broken off.
    Closing the generator stops the model and settles what it has produced.
    """
    route = await routing.find(request.model)
    fitting = await guard.check(request, route)
    async with aclosing(attempts.stream(request, call, fitting)) as events:
        async for event in events:
            yield event


async def models(principal: Principal) -> list[ModelOffer]:
    """Return what the caller may ask for."""
    return await routing.offers()


async def close() -> None:
    """Finish what is owed to the books and hang up, when the process ends."""
    await metering.finish_open_work()
    await http.close()
