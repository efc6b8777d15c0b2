"""Many requests at once."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import pytest

from core.errors import AppError, NotFound
from llm.parallel import run_all

NUMBERS = (3, 1, 2)


async def test_results_come_in_the_order_of_completion() -> None:
    begun: list[int] = []
    may_end = {number: asyncio.Event() for number in range(1, 5)}
    may_end[1].set()

    async def work(number: int) -> int:
        begun.append(number)
        await may_end[number].wait()
        asyncio.get_running_loop().call_later(0.01, may_end[number + 1].set)
        return number * 10

    async with aclosing(run_all(NUMBERS, work, concurrency=3)) as done:
        found = [(one.item, one.result) async for one in done]

    assert begun == [3, 1, 2]
    assert found == [(1, 10), (2, 20), (3, 30)]


async def test_no_more_run_at_once_and_no_more_are_taken_than_there_is_room_for() -> None:
    running = most = taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(20):
            taken += 1
            yield number

    async def work(number: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    async with aclosing(run_all(items(), work, concurrency=4)) as done:
        await anext(done)
        assert taken <= 5
        rest = [one async for one in done]

    assert (most, len(rest)) == (4, 19)


async def test_items_may_come_from_an_async_source() -> None:
    async def items() -> AsyncGenerator[int | None, None]:
        for item in (0, None, 2):  # neither ends the run
            await asyncio.sleep(0)
            yield item

    async def work(item: int | None) -> str:
        return str(item)

    async with aclosing(run_all(items(), work, concurrency=1)) as done:
        assert [one.result async for one in done] == ["0", "None", "2"]


async def test_a_failure_is_a_result_and_ends_no_other() -> None:
    async def work(number: int) -> int:
        if number == 1:
            raise NotFound("There is no 1.")
        return number

    async with aclosing(run_all(NUMBERS, work, concurrency=1)) as done:
        results = [one.result async for one in done]

    assert results[0] == 3
    assert isinstance(results[1], AppError)
    assert results[2] == 2


async def test_a_fault_of_ours_is_raised_and_stops_the_others() -> None:
    stopped: list[int] = []

    async def work(number: int) -> None:
        if number == 1:
            raise ZeroDivisionError
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            stopped.append(number)
            raise

    with pytest.raises(ZeroDivisionError):
        async with aclosing(run_all(NUMBERS, work, concurrency=3)) as done:
            await anext(done)

    assert sorted(stopped) == [2, 3]


async def test_closing_stops_what_runs_and_waits_for_its_end() -> None:
    ended: list[int] = []

    async def work(number: int) -> int:
        try:
            await asyncio.sleep(0 if number == 3 else 10)
        finally:
            await asyncio.sleep(0.01)  # settling takes a moment
            ended.append(number)
        return number

    async with aclosing(run_all(NUMBERS, work, concurrency=3)) as done:
        assert (await anext(done)).result == 3

    assert sorted(ended) == [1, 2, 3]


async def test_calls_begin_evenly_spaced() -> None:
    begun: list[float] = []

    async def work(number: int) -> None:
        begun.append(asyncio.get_running_loop().time())

    async with aclosing(run_all(range(6), work, concurrency=6, per_second=50)) as done:
        assert len([one async for one in done]) == 6

    assert begun[-1] - begun[0] > 0.095  # five gaps of 0.02 s
