"""Redis being away: said once, not waited for, and over as soon as it answers."""

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as NoConnection
from structlog.testing import capture_logs

from core import outage, redis
from core.outage import Outage, RedisAway


async def fail(_: Redis) -> None:
    raise NoConnection("nobody there")


async def answer(_: Redis) -> str:
    return "PONG"


async def test_what_redis_answers_is_returned() -> None:
    async def ping(client: Redis) -> bool:
        return bool(await client.ping())

    assert await Outage("test").ask(ping) is True
    await redis.close()


async def test_after_a_failure_redis_is_not_asked_for_a_while_and_one_warning_says_so() -> None:
    away = Outage("test")
    asked: list[str] = []

    async def ask(_: Redis) -> None:
        asked.append("")
        raise NoConnection("nobody there")

    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(RedisAway):
                await away.ask(ask)

    assert len(asked) == 1
    assert [log["event"] for log in logs] == ["test_away"]


async def test_the_first_answer_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "PAUSE", 0.0)
    away = Outage("test")
    with pytest.raises(RedisAway):
        await away.ask(fail)

    with capture_logs() as logs:
        assert await away.ask(answer) == "PONG"

    assert [log["event"] for log in logs] == ["test_back"]
    assert not away.is_paused


async def test_who_is_silent_is_away(settings: Any) -> None:
    settings.REDIS_PATIENCE_SECONDS = 0.01
    away = Outage("test")

    async def never(_: Redis) -> None:
        await asyncio.Event().wait()

    with pytest.raises(RedisAway):
        await away.ask(never)

    assert away.is_paused


def test_a_fault_of_ours_is_no_outage() -> None:
    away = Outage("test")

    with pytest.raises(ZeroDivisionError), away.asking():
        1 / 0  # noqa: B018 - it is what fails

    assert not away.is_paused
