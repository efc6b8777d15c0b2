"""The log of an answer under a key: what is kept, for how long, and what is said of the rest."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import pytest
from pytest_django import Settings

from core import redis
from core.errors import DependencyDown
from gateway import redis_line
from gateway.idempotency import following, log, recording
from gateway.idempotency.errors import Interrupted, NotKept
from gateway.idempotency.log import Head, Log
from gateway.idempotency.recording import Parts, Recording
from tests.llm_support import eventually

STREAM = Head(200, [(b"content-type", b"text/event-stream; charset=utf-8")])
ALIVE = b": keep-alive\n\n"


@pytest.fixture(autouse=True)
async def closed_redis() -> AsyncIterator[None]:
    yield
    await redis_line.drain()
    await redis.close()


@pytest.fixture
def record() -> str:
    return redis.key("idempotency", "test", uuid4().hex)


async def claimed(record: str, *, holder: str = "me", fingerprint: str = "same") -> list[bytes]:
    """Return what a request for this record is told."""
    said = log.claim(record, fingerprint=fingerprint, holder=holder, may_begin=True)
    replies = await redis_line.send([said])
    assert replies is not None
    return list(replies[0])


async def say(to: Recording, head: Head, *bodies: bytes, ends: bool = True) -> None:
    """Let a consumer answer with this."""
    start = {"type": "http.response.start", "status": head.status, "headers": head.headers}
    await to.take(start)
    for number, body in enumerate(bodies, 1):
        has_more = number < len(bodies) or not ends
        await to.take({"type": "http.response.body", "body": body, "more_body": has_more})


async def read(parts: Parts) -> Sequence[Head | bytes]:
    async with aclosing(parts):
        return [part async for part in parts]


def recorded(record: str, holder: str = "me") -> tuple[Recording, Log]:
    of = Log(record, holder)
    return Recording(of, alive_event=ALIVE), of


async def test_events_are_numbered_however_they_are_cut_and_signs_of_life_are_left_out(
    record: str,
) -> None:
    await claimed(record)
    made, of = recorded(record)

    await say(made, STREAM, b"data: 1\n\ndata: 2\n\nda", ALIVE, b"ta: 3\n\n", b"data: [DONE]\n\n")
    await made.close()

    expected = [b"id: 1\ndata: 1\n\n", b"id: 2\ndata: 2\n\n", b"id: 3\ndata: 3\n\n"]
    whole = [STREAM, *expected, b"id: 4\ndata: [DONE]\n\n"]
    assert await read(made.parts(0)) == await read(following.parts(of, 0)) == whole
    assert await read(following.parts(of, 3)) == [STREAM, whole[-1]]
    assert await read(following.parts(of, 9)) == await read(made.parts(9)) == [STREAM]


async def test_an_answer_is_kept_for_the_hours_that_are_set(record: str, settings: Any) -> None:
    settings.IDEMPOTENCY_HOURS = 2.0
    await claimed(record)
    made, _ = recorded(record)
    await say(made, STREAM, b"data: 1\n\n")
    await made.close()

    assert await claimed(record, holder="other") == [b"kept", b"me"]
    assert await claimed(record, fingerprint="another") == [b"reused", b""]
    for key in (record, f"{record}:me"):
        assert 7000 < await redis.client().ttl(key) <= 7200


async def test_an_answer_that_is_too_large_is_given_but_not_kept(
    record: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_BYTES", 100)
    await claimed(record)
    made, of = recorded(record)

    await say(made, STREAM, *[b"data: %d\n\n" % number for number in range(20)])
    await made.close()

    assert len(await read(made.parts(0))) == 21
    with pytest.raises(NotKept):
        await read(following.parts(of, 0))
    assert (await claimed(record))[0] == b"not_kept"
    assert await redis.client().xlen(f"{record}:me") == 1  # that it has ended


async def test_a_refusal_frees_the_key_and_is_heard_by_those_who_wait_already(record: str) -> None:
    await claimed(record)
    made, of = recorded(record)
    refusal = Head(429, [(b"content-type", b"application/json")])

    await say(made, refusal, b"{}")
    await made.close()

    assert await read(following.parts(of, 0)) == [refusal, b"{}"]
    assert (await claimed(record, holder="next"))[0] == b"begun"
    assert 0 < await redis.client().ttl(f"{record}:me") <= log.ERROR_KEPT


async def test_an_answer_without_an_end_is_interrupted(record: str) -> None:
    await claimed(record)
    made, of = recorded(record)

    await say(made, STREAM, b"data: 1\n\n", ends=False)
    await made.close()

    for parts in (made.parts(0), following.parts(of, 0)):
        with pytest.raises(Interrupted):
            await read(parts)
    assert (await claimed(record))[0] == b"interrupted"


async def test_who_gives_no_sign_is_gone_and_nobody_begins_anew(
    record: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "LEASE", 0.2)
    await claimed(record)
    made, of = recorded(record)
    await say(made, STREAM, b"data: 1\n\n", ends=False)

    with pytest.raises(Interrupted):
        await read(following.parts(of, 0))

    assert (await claimed(record))[0] == b"interrupted"


async def test_where_the_request_was_given_back_whoever_waits_may_ask_again(record: str) -> None:
    await claimed(record)
    waiting = asyncio.create_task(read(following.parts(Log(record, "me"), 0)))
    await redis.client().delete(record, log.lease_of(record))

    with pytest.raises(DependencyDown):
        await waiting


async def test_an_answer_that_nobody_waits_for_has_only_so_much_time(
    record: str, settings: Any
) -> None:
    settings.DRAIN_SECONDS = 0.05
    made, _ = recorded(record)
    await say(made, STREAM, b"data: 1\n\n", ends=False)
    making = asyncio.create_task(asyncio.Event().wait())
    reader = made.parts(0)
    await anext(reader)

    made.begin(making)  # type: ignore[arg-type]
    await asyncio.sleep(0.2)
    assert not making.done()
    await reader.aclose()

    await eventually(making.done)
    assert making.cancelled()


async def test_an_api_key_keeps_no_more_than_it_has_room_for(
    settings: Settings,
) -> None:
    settings.MAX_IDEMPOTENCY_BYTES = 25
    api_key = uuid4().hex
    for name in ("first", "second", "third"):
        record = redis.key("idempotency", api_key, name)
        await claimed(record)
        made, _ = recorded(record)
        await say(made, Head(200, []), b"ten bytes!")
        await made.close()

    told = [
        (await claimed(redis.key("idempotency", api_key, name)))[0]
        for name in ("first", "second", "third")
    ]

    assert told == [b"kept", b"kept", b"not_kept"]
