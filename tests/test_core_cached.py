"""A value is loaded once for all who ask, and is never older than it promises."""

import asyncio
import time

import pytest
from django.db import OperationalError

from core import cached
from core.cached import Cached
from core.errors import DependencyDown


async def test_concurrent_readers_share_one_load() -> None:
    loads: list[str] = []

    def load(key: str) -> str:
        loads.append(key)
        time.sleep(0.05)
        return key.upper()

    values = Cached(load)

    assert await asyncio.gather(*(values.get("a") for _ in range(50))) == ["A"] * 50
    assert loads == ["a"]


async def test_a_value_is_loaded_again_when_its_age_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "MAX_AGE", 0.05)
    numbers = iter(range(10))
    values: Cached[str, int] = Cached(lambda key: next(numbers))

    first, again = await values.get("a"), await values.get("a")
    await asyncio.sleep(0.06)
    later = await values.get("a")

    assert (first, again, later) == (0, 0, 1)


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
    def load(key: str) -> str:
        time.sleep(0.05)
        return "value"

    values = Cached(load)
    leaving = asyncio.create_task(values.get("a"))
    staying = asyncio.create_task(values.get("a"))
    await asyncio.sleep(0.01)
    leaving.cancel()

    assert await staying == "value"
