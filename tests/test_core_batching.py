"""What is asked at the same time is done together, and each caller gets their own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from core.batching import Batcher


class Recorder:
    """Answers each word in capitals, and remembers the batches; a gate keeps a batch running."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def handle(self, words: Sequence[str]) -> Sequence[str | Exception]:
        self.batches.append(list(words))
        await self.gate.wait()
        return [ValueError(word) if word.startswith("bad") else word.upper() for word in words]


async def settle_down() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_concurrent_items_share_a_batch_and_keep_their_order() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.handle)

    answers = await asyncio.gather(*(batcher.submit(word) for word in "abc"))

    assert answers == ["A", "B", "C"]
    assert recorder.batches == [["a", "b", "c"]]


async def test_items_that_arrive_while_a_batch_runs_form_the_next_one() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder.handle)
    first = asyncio.create_task(batcher.submit("a"))
    await settle_down()
    later = [asyncio.create_task(batcher.submit(word)) for word in "bc"]
    await settle_down()

    recorder.gate.set()

    assert await asyncio.gather(first, *later) == ["A", "B", "C"]
    assert recorder.batches == [["a"], ["b", "c"]]


async def test_a_batch_has_a_largest_size() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.handle, max_size=2)

    await asyncio.gather(*(batcher.submit(word) for word in "abcde"))

    assert recorder.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_an_error_reaches_only_the_one_whose_item_it_is() -> None:
    batcher = Batcher(Recorder().handle)

    answers = await asyncio.gather(
        *(batcher.submit(word) for word in ["a", "bad", "c"]), return_exceptions=True
    )

    assert [str(answer) for answer in answers] == ["A", "bad", "C"]
    assert isinstance(answers[1], ValueError)


async def test_a_batch_that_fails_is_heard_of_by_all_and_the_next_one_works() -> None:
    outcomes: list[Exception | None] = [OSError("gone"), None]

    async def handle(items: Sequence[str]) -> Sequence[str]:
        if outcome := outcomes.pop(0):
            raise outcome
        return items

    batcher = Batcher(handle)
    failed = await asyncio.gather(*map(batcher.submit, "ab"), return_exceptions=True)

    assert [type(answer) for answer in failed] == [OSError, OSError]
    assert await batcher.submit("c") == "c"


async def test_nobody_waits_for_ever_when_a_result_is_missing() -> None:
    async def handle(items: Sequence[str]) -> Sequence[str]:
        return items[1:]

    batcher = Batcher(handle)

    answers = await asyncio.gather(*map(batcher.submit, "ab"), return_exceptions=True)

    assert [type(answer) for answer in answers] == [RuntimeError, RuntimeError]


async def test_a_caller_who_leaves_stops_neither_the_batch_nor_the_others() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher = Batcher(recorder.handle)
    leaving, staying = (asyncio.create_task(batcher.submit(word)) for word in "ab")
    await settle_down()
    leaving.cancel()

    recorder.gate.set()

    assert await staying == "B"
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert recorder.batches == [["a", "b"]]


async def test_drain_returns_when_everything_submitted_is_handled() -> None:
    recorder = Recorder()
    batcher = Batcher(recorder.handle, max_size=1)
    tasks = [asyncio.create_task(batcher.submit(word)) for word in "abc"]
    await asyncio.sleep(0)

    await batcher.drain()

    assert recorder.batches == [["a"], ["b"], ["c"]]
    assert await asyncio.gather(*tasks) == ["A", "B", "C"]


async def test_nobody_waits_for_ever_when_the_work_is_cancelled() -> None:
    async def handle(items: Sequence[str]) -> Sequence[str]:
        raise asyncio.CancelledError

    batcher = Batcher(handle, max_size=1)

    async with asyncio.timeout(5):
        answers = await asyncio.gather(*map(batcher.submit, "ab"), return_exceptions=True)

    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 2


async def test_what_all_get_is_an_error_of_their_own_for_each() -> None:
    async def fail(_: Sequence[str]) -> Sequence[str]:
        raise ValueError("all")

    batcher = Batcher(fail)

    errors = await asyncio.gather(*map(batcher.submit, "abc"), return_exceptions=True)

    assert [str(error) for error in errors] == ["all"] * 3
    assert len({id(error) for error in errors}) == 3


async def test_items_gather_for_as_long_as_the_pause_says() -> None:
    recorder = Recorder()
    asked = 0

    def pause() -> float:
        nonlocal asked
        asked += 1
        return 0.2 if asked == 1 else 0.0

    batcher = Batcher(recorder.handle, pause=pause)
    first = asyncio.create_task(batcher.submit("a"))
    await settle_down()
    later = asyncio.create_task(batcher.submit("b"))

    assert [await first, await later] == ["A", "B"]
    assert recorder.batches == [["a", "b"]]
    assert asked == 1
