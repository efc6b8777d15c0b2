"""Whether a call is answered from what is kept, from what is in the making, or anew."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from core.ids import new_id
from llm.caching import exact, figures, purges, semantic
from llm.caching.lookup import Answer, Lookup
from llm.caching.policy import NotCached, Policy, decide
from llm.caching.replay import replay
from llm.caching.sharing import share
from llm.routing.routes import Route
from llm.types import Call, ChatRequest, Event, Finished


def stream(
    request: ChatRequest, call: Call, route: Route, answer: Answer
) -> AsyncGenerator[Event, None]:
    """Yield the answer to `request`, which `answer()` makes where none is to be had otherwise.

    Raises `NotCached` where the caller wants no other than a kept one.
    """
    policy = decide(request, call, route)
    if policy.is_off and not call.cache.only_if_cached:
        return answer()  # the common case costs nothing
    return _look_up(request, call, route, policy, answer)


async def _look_up(
    request: ChatRequest, call: Call, route: Route, policy: Policy, answer: Answer
) -> AsyncGenerator[Event, None]:
    purge = await purges.newest(call, route.alias)
    key = exact.key_for(request, call, route, purge=purge)
    lookup = Lookup(request, call, route, policy, purge, key)
    found = await exact.get(key, policy.max_age) if policy.reads else None
    events = replay(found, lookup) if found else await _compare(lookup, answer)
    async with aclosing(events):
        async for event in events:
            yield event


async def _compare(lookup: Lookup, answer: Answer) -> AsyncGenerator[Event, None]:
    """Return the answer to a question of the same meaning, or else the way to a new one."""
    if (question := await semantic.question_of(lookup)) is not None:
        usage_id = new_id()
        if lookup.policy.reads and (found := await semantic.find(question, usage_id)):
            return replay(found.answer, lookup, usage_id=usage_id, similarity=found.similarity)
        answer = semantic.keeping(question, answer)
    if lookup.call.cache.only_if_cached:
        raise NotCached("There is no answer to this in the cache.")
    return share(lookup, answer) if lookup.policy.shares else _make(lookup, answer)


async def _make(lookup: Lookup, answer: Answer) -> AsyncGenerator[Event, None]:
    """Yield an answer that is made for this caller alone, and keep it where that is allowed."""
    if lookup.policy.reads:
        figures.note(lookup, "miss")
    events: list[Event] = []
    async with aclosing(answer()) as made:
        async for event in made:
            events.append(event)
            if isinstance(event, Finished) and (entry := exact.entry_of(lookup, events)):
                await exact.put(entry)
                figures.note_written(lookup, len(entry.encoded), entry.seconds)
            yield event
