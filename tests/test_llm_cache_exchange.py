"""What a flight makes of what it is told: pages it cannot read, and errors that several get."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from billing.pricing import TokenUsage
from core import redis
from llm.caching import flights, pages
from llm.caching.commands import log_of
from llm.caching.exchange import Exchange
from llm.caching.flights import Flight, Passenger
from llm.caching.leads import Lead
from llm.caching.lookup import Lookup
from llm.caching.policy import OFF
from llm.errors import ConnectionFailed, ServerError
from llm.types import Delta, Event, Finished, Started
from tests.llm_support import eventually

STARTED = Started(usage_id=uuid4(), provider="acme", model="test-model")
END = Finished(finish_reason="stop", usage=TokenUsage(), is_estimated=False, cost_usd=Decimal(0))
NONSENSE = b"\xc1"  # stands for nothing in MessagePack


@pytest.fixture
async def other() -> AsyncIterator[Exchange]:
    """The exchange of another process."""
    exchange = Exchange()
    yield exchange
    await flights.close()
    await exchange.close()
    await redis.close()


def passenger(*answer: Event | Exception) -> Passenger:
    """Return a caller who could make the call, and what would come of it."""

    async def made() -> AsyncGenerator[Event, None]:
        for step in answer:
            if isinstance(step, Exception):
                raise step
            yield step

    lookup = Lookup(cast(Any, None), cast(Any, None), cast(Any, None), OFF, 0, "")
    return Passenger(lookup, made)


class Reading:
    """A caller of a flight, and what they have got so far."""

    def __init__(self, flight: Flight, one: Passenger) -> None:
        self.events: list[Event] = []
        flight.board(one)
        self.task = asyncio.create_task(self._read(flight, one))

    async def _read(self, flight: Flight, one: Passenger) -> list[Event]:
        async with aclosing(flight.events(one)) as events:
            async for event in events:
                self.events.append(event)
        return self.events


async def write(key: str, page: bytes) -> None:
    await redis.client().xadd(log_of(key), {"page": page})


async def led_elsewhere(other: Exchange) -> str:
    """Return the key of a call that another process makes."""
    key = redis.key("test", uuid4().hex)
    assert isinstance(await other.claim(key, f"{key}:kept"), Lead)
    return key


async def test_an_answer_breaks_off_at_a_page_of_another_version(other: Exchange) -> None:
    key = await led_elsewhere(other)
    reading = Reading(Flight(key, f"{key}:kept"), passenger())
    await write(key, pages.encode(pages.page_of("leader", [STARTED, Delta("one ")])))
    await eventually(lambda: len(reading.events) == 2)

    await write(key, NONSENSE)

    with pytest.raises(ConnectionFailed, match="another version of Parley"):
        await reading.task


async def test_who_can_read_nothing_of_it_makes_the_call(other: Exchange) -> None:
    key = await led_elsewhere(other)
    await write(key, NONSENSE)

    reading = Reading(Flight(key, f"{key}:kept"), passenger(STARTED, Delta("own"), END))

    assert await reading.task == [STARTED, Delta("own"), END]


async def test_each_caller_gets_an_error_of_their_own(other: Exchange) -> None:
    key = redis.key("test", uuid4().hex)
    flight = Flight(key, f"{key}:kept")
    failing = passenger(STARTED, Delta("one "), ServerError("It failed.", retry_after=3))

    readings = [Reading(flight, failing), *(Reading(flight, passenger()) for _ in range(2))]
    errors = await asyncio.gather(*(one.task for one in readings), return_exceptions=True)

    assert [(type(error), str(error)) for error in errors] == [(ServerError, "It failed.")] * 3
    assert {cast(ServerError, error).retry_after for error in errors} == {3}
    assert len({id(error) for error in errors}) == 3
    assert len({id(cast(ServerError, error).__traceback__) for error in errors}) == 3


async def test_a_fault_of_the_exchange_is_logged_at_once_and_lets_nobody_wait(
    other: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await led_elsewhere(other)
    follow = other.follow(key)

    async def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(other, "send", fail)
    with capture_logs() as logs:
        assert [page async for page in follow.pages()] == []
        await eventually(lambda: bool(logs))

    assert logs[0]["event"] == "core.repeating_failed"
