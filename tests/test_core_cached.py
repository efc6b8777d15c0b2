"""A value is loaded once for all who ask, and is never older than it promises."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError

from core import cached
from core.cached import Cached
from core.errors import DependencyDown


class Slow:
    """A load that takes until it is told to end."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.began = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, key: str) -> str:
        self.loads.append(key)
        self.began.set()
        assert self.may_end.wait(60)
        return key.upper()


async def readers(values: Cached[str, str], count: int) -> "list[asyncio.Task[str]]":
    """Return readers who wait for one load."""
    tasks = [asyncio.create_task(values.get("a")) for _ in range(count)]
    await asyncio.sleep(0)  # all have asked
    return tasks


async def test_concurrent_readers_share_one_load() -> None:
    slow = Slow()
    waiting = await readers(Cached(slow), 50)

    slow.may_end.set()

    assert await asyncio.gather(*waiting) == ["A"] * 50
    assert slow.loads == ["a"]


async def test_a_value_is_loaded_again_when_its_age_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(cached, "clock", lambda: now[0])
    numbers = iter(range(10))
    values: Cached[str, int] = Cached(lambda key: next(numbers))

    first = await values.get("a")
    now[0] += cached.MAX_AGE - 0.01
    again = await values.get("a")
    now[0] += 0.02
    later = await values.get("a")

    assert (first, again, later) == (0, 0, 1)


def test_an_edit_is_in_force_within_a_second_with_some_time_to_read_it() -> None:
    assert cached.MAX_AGE <= 0.9


async def test_an_error_is_not_remembered() -> None:
    answers: list[str | Exception] = [ValueError("not yet"), "there"]

    def load(key: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    values = Cached(load)
    with pytest.raises(ValueError, match="not yet"):
        await values.get("a")

    assert await values.get("a") == "there"


async def test_a_database_that_is_away_is_an_outage_and_not_an_answer() -> None:
    def load(key: str) -> str:
        raise OperationalError("connection refused")

    with pytest.raises(DependencyDown) as caught:
        await Cached(load).get("a")

    assert caught.value.http_status == 503
    assert caught.value.retry_after


async def test_a_reader_that_leaves_does_not_stop_the_load_for_others() -> None:
    slow = Slow()
    leaving, staying = await readers(Cached(slow), 2)

    leaving.cancel()
    await asyncio.wait([leaving])
    slow.may_end.set()

    assert await staying == "A"
    assert slow.loads == ["a"]


async def test_threads_with_loops_of_their_own_do_not_forget_each_others_loads() -> None:
    slow = Slow()
    loads: list[Callable[[str], str]] = [slow, str.lower]

    def load(key: str) -> str:
        return loads.pop(0)(key)

    values = Cached(load)
    [waiting] = await readers(values, 1)
    await asyncio.to_thread(slow.began.wait, 60)

    assert await asyncio.to_thread(asyncio.run, values.get("a")) == "a"
    values.clear()
    [joining] = await readers(values, 1)
    slow.may_end.set()

    assert (await waiting, await joining) == ("A", "A")
    assert slow.loads == ["a"]
