"""What tests of shared calls share: who reads, who waits, and processes beside this one."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from core import redis
from llm import service
from llm.caching import flights
from llm.types import Call, ChatRequest, Event, Started
from tests.llm_support import ask, eventually, text_of
from tests.vendor import Answer, Gate

QUESTION = ask(temperature=0.0)
TEXT = "one two three four five six seven eight"


def held(gate: Gate, *, after: int = 1) -> Answer:
    """Return an answer that stops after so many words until the gate is opened."""
    return Answer(text=TEXT, gate=gate, gate_after=after)


class Reader:
    """Somebody who asks, and what they have been told so far."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def read(self, call: Call, request: ChatRequest = QUESTION) -> list[Event]:
        async with aclosing(service.stream(request, call)) as answer:
            async for event in answer:
                self.events.append(event)
        return self.events

    @property
    def text(self) -> str:
        return text_of(self.events)


async def all_have_read(readers: list[Reader], text: str) -> None:
    """Wait until each reader has been told this much."""
    await eventually(lambda: all(reader.text == text for reader in readers))


async def elsewhere(work: Coroutine[Any, Any, Any]) -> Any:
    """Run `work` on an event loop of its own: what belongs to a loop, it shares with nobody."""

    async def run() -> Any:
        try:
            return await work
        finally:
            await service.close()
            await redis.close()

    result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    loop = result.get_loop()

    def target() -> None:
        try:
            loop.call_soon_threadsafe(result.set_result, asyncio.run(run()))
        except BaseException as error:
            loop.call_soon_threadsafe(result.set_exception, error)

    threading.Thread(target=target, daemon=True).start()
    return await result


async def are_waiting(count: int) -> None:
    """Wait until so many callers of this event loop wait for one call."""
    await eventually(lambda: [len(one._passengers) for one in _flights()] == [count])


async def is_wanted_elsewhere() -> None:
    """Wait until somebody of another event loop waits for the call that is made here."""
    await eventually(
        lambda: any(one._lead is not None and one._lead.is_wanted for one in _flights())
    )


def is_shared(events: list[Event]) -> bool:
    started = events[0]
    assert isinstance(started, Started)
    return started.is_shared and started.is_cache_hit


def _flights() -> list[flights.Flight]:
    return list(flights._flights.get().values())
