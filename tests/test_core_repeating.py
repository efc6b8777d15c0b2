"""Work that is repeated as long as there is some, and says so when it fails."""

import asyncio

from structlog.testing import capture_logs

from core.repeating import Repeating
from tests.llm_support import eventually


class Pile:
    """Work that is done piece by piece."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.done = 0

    async def work(self) -> bool:
        self.left -= 1
        self.done += 1
        return self.left > 0


def has_ended(repeating: Repeating) -> bool:
    return repeating._task is not None and repeating._task.done()


async def test_it_goes_on_while_there_is_more() -> None:
    pile = Pile(3)
    repeating = Repeating(pile.work, seconds=0)

    repeating.begin()
    repeating.begin()  # changes nothing
    await eventually(lambda: has_ended(repeating))

    assert pile.done == 3


async def test_it_can_begin_anew() -> None:
    pile = Pile(1)
    repeating = Repeating(pile.work, seconds=0)
    repeating.begin()
    await eventually(lambda: has_ended(repeating))

    repeating.begin()
    await eventually(lambda: has_ended(repeating))

    assert pile.done == 2


async def test_what_fails_is_logged_at_once_and_can_begin_anew() -> None:
    async def fail() -> bool:
        raise ZeroDivisionError

    repeating = Repeating(fail, seconds=0)
    with capture_logs() as logs:
        repeating.begin()
        await eventually(lambda: has_ended(repeating))
        repeating.begin()
        await eventually(lambda: has_ended(repeating))

    assert [log["event"] for log in logs] == ["core.repeating_failed"] * 2


async def test_it_can_be_stopped_in_the_middle() -> None:
    is_working = asyncio.Event()

    async def work() -> bool:
        is_working.set()
        await asyncio.Event().wait()
        return True

    repeating = Repeating(work, seconds=0)
    repeating.begin()
    await is_working.wait()

    await repeating.stop()
    await repeating.stop()  # does nothing

    assert has_ended(repeating)


async def test_it_begins_anew_where_the_loop_that_it_ran_in_has_ended() -> None:
    pile = Pile(1)
    repeating = Repeating(pile.work, seconds=0)

    async def begin() -> None:
        repeating.begin()

    loop = asyncio.new_event_loop()
    await asyncio.to_thread(loop.run_until_complete, begin())
    await repeating.stop()  # it is not ours to stop
    loop.close()
    repeating.begin()
    await eventually(lambda: pile.done == 1)
