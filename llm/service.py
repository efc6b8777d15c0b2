"""The only door to a model."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from accounts.principal import Principal
from llm import attempts, cache, guard, metering, routing
from llm.providers import http
from llm.types import Call, ChatRequest, Event, Finished, ModelOffer


async def stream(request: ChatRequest, call: Call) -> AsyncGenerator[Event, None]:
    """Answer `request` at the caller's expense: `Started`, `Delta`s, `Finished`.

    Raises an `AppError`: before `Started` nothing was answered, after it the answer is broken off.
    Closing the generator stops the model and settles what it has produced.
    """
    route = await routing.find(request.model)
    fitting = await guard.check(request, route)
    key = cache.key_for(request, call, route)
    if key and (kept := await cache.get(key)):
        async with aclosing(cache.replay(kept, request, call)) as replayed:
            async for event in replayed:
                yield event
        return
    answer: list[Event] = []
    async with aclosing(attempts.stream(request, call, fitting)) as events:
        async for event in events:
            if key:
                answer.append(event)
                if isinstance(event, Finished):
                    await cache.put(key, answer)
            yield event


async def models(principal: Principal) -> list[ModelOffer]:
    """Return what the caller may ask for."""
    return await routing.offers()


async def close() -> None:
    """Finish what is owed to the books and hang up, when the process ends."""
    await metering.finish_open_work()
    await http.close()
