"""Fewer, larger pieces while the loop is busy; at once while it is not."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gateway import pacing
from gateway.pacing import paced
from llm.types import Delta, Event

COUNT = 100


class Clock:
    """In the place of `time`: what the loop does takes as long as the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pacing, "time", made)
    return made


class Socket:
    """Hands over what has gathered since it was last read, as a vendor's connection does."""

    def __init__(self) -> None:
        self.gathered: list[str] = []
        self.arrived = asyncio.Event()

    def receive(self, text: str) -> None:
        self.gathered.append(text)
        self.arrived.set()

    async def events(self) -> AsyncGenerator[Event, None]:
        read = 0
        while read < COUNT:
            await self.arrived.wait()
            self.arrived.clear()
            read += len(self.gathered)
            text, self.gathered = "".join(self.gathered), []
            yield Delta(text=text)


async def collect(socket: Socket) -> list[str]:
    return [event.text async for event in paced(socket.events()) if isinstance(event, Delta)]


async def test_on_a_busy_loop_tokens_are_joined(clock: Clock) -> None:
    socket = Socket()
    reader = asyncio.create_task(collect(socket))

    for number in range(COUNT):
        clock.now += 0.002  # each turn of the loop takes so long: this is what being busy means
        socket.receive(f"{number} ")
        await asyncio.sleep(0)

    pieces = await reader
    assert len(pieces) < COUNT / 2
    assert "".join(pieces).split() == [str(number) for number in range(COUNT)]


async def test_on_an_idle_loop_each_token_goes_out_at_once(clock: Clock) -> None:
    socket = Socket()
    reader = asyncio.create_task(collect(socket))

    for number in range(COUNT):
        clock.now += 0.002
        socket.receive(f"{number} ")
        for _ in range(5):  # turns in which nothing happens but this
            await asyncio.sleep(0)

    assert await reader == [f"{number} " for number in range(COUNT)]
