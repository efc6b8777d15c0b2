"""The counters that processes share: all or nothing, corrected after, freed when a process dies."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from limits.aio.storage import RedisStorage
from msgspec.structs import replace
from pytest_django import Settings
from redis.asyncio import Redis

from core import redis
from core.outage import Outage
from llm import limits
from llm.limits import counters, leases, local, shared
from llm.limits.shared import Command
from llm.limits.windows import Want, remaining, reset, wait
from tests.limits_support import taken, want


@pytest.fixture(autouse=True)
async def clean(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(shared, "outage", Outage("llm.limits"))
    async for key in redis.client().scan_iter(redis.key("limits", "*")):
        await redis.client().delete(key)
    yield
    await counters.close()
    await redis.close()


async def left(of: Want) -> int:
    """Return what is left of a counter, without taking anything of it that matters."""
    [seen] = (await counters.take([of])).seen
    return remaining(of, seen)


async def pass_by(of: Want, seconds: float) -> None:
    """Let a counter be so much older, without a wait."""
    client = redis.client()
    if of.kind == "lease":
        for lease in await client.zrange(of.key, 0, -1):
            await client.zincrby(of.key, -seconds, cast(bytes, lease))
    if of.kind == "window":
        moments = await client.lrange(of.key, 0, -1)
        for index, moment in enumerate(moments):
            await client.lset(of.key, index, str(float(moment) - seconds))
    if of.kind == "counter":
        for key in (of.key, f"{of.key}/-1"):
            milliseconds = await client.pttl(key)
            if milliseconds > 0:
                await client.pexpire(key, int(max(1, milliseconds - seconds * 1000)))


def ended_before(admitted: counters.Taken, seconds: float) -> counters.Taken:
    """Return what was taken, of a window that ended so much earlier."""
    [seen] = admitted.seen
    earlier = replace(seen, e=seen.e - seconds)
    return counters.Taken(admitted.wants, [earlier], admitted.lease, is_shared=True)


async def settled() -> None:
    """Return when what was released has arrived."""
    await shared.close()


async def test_as_many_requests_fit_as_are_allowed() -> None:
    wanted = [want("requests", 3)]

    results = [(await counters.take(wanted)).is_refused for _ in range(5)]

    assert results == [False, False, False, True, True]


async def test_what_one_limit_refuses_counts_with_no_other() -> None:
    requests, tokens, parallel = (
        want("requests", 9),
        want("tokens", 100, amount=40),
        want("parallel", 9),
    )
    full = want("requests", 1, who="full")
    await counters.take([full])

    refused = await counters.take([requests, tokens, parallel, full])

    assert taken(refused.seen) == [True, True, True, False]
    seen = refused.seen
    assert [remaining(w, s) for w, s in zip(refused.wants, seen, strict=True)] == [9, 100, 9, 0]
    assert await redis.client().zcard(parallel.key) == 0
    assert await redis.client().llen(requests.key) == 0


async def test_the_library_reads_the_same_counters() -> None:
    await counters.take([want("requests", 5), want("tokens", 100, amount=40)])
    await counters.take([want("requests", 5), want("tokens", 100, amount=40)])

    pool: Any = redis.client().connection_pool
    storage = RedisStorage(
        "async+redis://localhost:6379",
        implementation="redispy",
        key_prefix=redis.key("limits"),
        connection_pool=pool,
    )
    began_at, used = await storage.get_moving_window("{requests:}", 5, 60)
    before, _, tokens, _ = await storage.get_sliding_window("tokens:", 60)

    assert (used, before, tokens) == (2, 0, 80)
    assert abs(time.time() - began_at) < 60
    assert not await storage.acquire_sliding_window_entry("tokens:", 100, 60, 21)
    assert await storage.acquire_sliding_window_entry("tokens:", 100, 60, 20)


async def test_a_call_that_used_less_gives_the_rest_back() -> None:
    tokens = want("tokens", 100, amount=60)
    admitted = await counters.take([tokens])

    counters.release(admitted, 10)
    await settled()

    assert await left(want("tokens", 100, amount=0)) == 90


async def test_a_call_that_used_more_is_counted_in_full_even_above_the_limit() -> None:
    tokens = want("tokens", 100, amount=60)
    admitted = await counters.take([tokens])

    counters.release(admitted, 250)
    await settled()

    [seen] = (await counters.take([tokens])).seen
    assert (seen.is_taken, remaining(tokens, seen), seen.c) == (False, 0, 250)


async def test_nothing_is_given_back_to_a_window_that_is_over() -> None:
    tokens = want("tokens", 100, amount=60)
    admitted = await counters.take([tokens])

    counters.release(ended_before(admitted, 120), 0)  # put into the window before the last
    await settled()

    assert await left(want("tokens", 100, amount=0)) == 40


async def test_what_is_given_back_goes_to_the_window_it_came_from() -> None:
    tokens = want("tokens", 100, amount=60)
    admitted = await counters.take([tokens])
    await pass_by(tokens, 63)  # it is the last window now
    await counters.take([want("tokens", 1000, amount=30)])

    counters.release(ended_before(admitted, 63), 0)
    await settled()

    [seen] = (await counters.take([want("tokens", 1000, amount=0)])).seen
    assert (seen.a, seen.c) == (0, 30)


async def test_no_refund_makes_a_counter_negative() -> None:
    tokens = want("tokens", 100, amount=60)
    admitted = await counters.take([tokens])

    for _ in range(3):
        counters.release(admitted, 0)
    await settled()

    assert await redis.client().get(tokens.key) == b"0"


async def test_calls_at_once_are_freed_when_they_end() -> None:
    parallel = [want("parallel", 2)]
    first, _ = await counters.take(parallel), await counters.take(parallel)
    assert (await counters.take(parallel)).is_refused

    counters.release(first, None)
    await settled()

    assert not (await counters.take(parallel)).is_refused


async def test_a_lease_is_renewed_while_its_call_runs(settings: Settings) -> None:
    settings.LEASE_SECONDS = 0.9
    parallel = want("parallel", 1, seconds=leases.seconds())
    admitted = await counters.take([parallel])

    async def ends_at() -> float:
        score = await redis.client().zscore(parallel.key, admitted.lease)
        assert score is not None
        return float(score)

    for _ in range(2):
        before = await ends_at()
        while await ends_at() <= before:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.02)

    counters.release(admitted, None)


async def test_a_lease_that_nobody_renews_runs_out() -> None:
    parallel = want("parallel", 1)
    await shared.take([parallel], "of-a-dead-process")
    assert (await counters.take([parallel])).is_refused

    await pass_by(parallel, 61)

    assert not (await counters.take([parallel])).is_refused


async def test_who_leaves_while_redis_answers_takes_nothing() -> None:
    wanted = [want("tokens", 100, amount=60), want("parallel", 1)]
    caller = asyncio.create_task(counters.take(wanted))
    await asyncio.sleep(0)  # it has asked
    await asyncio.sleep(0)

    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await shared.close()

    assert await left(want("tokens", 100, amount=0)) == 100
    assert await redis.client().zcard(wanted[1].key) == 0


async def test_waiting_as_long_as_told_is_enough_and_not_too_long() -> None:
    requests, tokens = want("requests", 2), want("tokens", 100, amount=60)
    await counters.take([requests, tokens])
    await counters.take([requests])
    refused = await counters.take([requests, tokens])
    waits = [wait(w, s) or 0.0 for w, s in zip(refused.wants, refused.seen, strict=True)]
    assert taken(refused.seen) == [False, False]

    assert waits[0] == pytest.approx(60, abs=15)
    assert waits[1] == pytest.approx(60 + 20, abs=15)  # 40 of the 60 have to fade
    await pass_by(requests, waits[0] + 0.01)
    assert not (await counters.take([requests])).is_refused
    await pass_by(tokens, waits[1] - 15)
    assert (await counters.take([tokens])).is_refused
    await pass_by(tokens, 15.5)
    assert not (await counters.take([tokens])).is_refused


async def test_more_at_once_than_a_limit_allows_never_fits() -> None:
    tokens = want("tokens", 100, amount=101)

    refused = await counters.take([tokens])

    assert refused.is_refused
    assert wait(tokens, refused.seen[0]) is None


async def test_a_lowered_limit_counts_what_was_used_before() -> None:
    for _ in range(5):
        await counters.take([want("requests", 10)])

    refused = await counters.take([want("requests", 3)])

    assert refused.is_refused
    assert wait(refused.wants[0], refused.seen[0]) == pytest.approx(60, abs=30)


async def test_reset_tells_when_there_is_more() -> None:
    requests = want("requests", 5, seconds=30)

    admitted = await counters.take([requests])

    assert reset(requests, admitted.seen[0]) == pytest.approx(30, abs=0.5)


async def test_one_script_and_one_round_trip_for_calls_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await counters.take([want("requests", 100)])
    sizes: list[int] = []
    send = shared._send

    async def counted(client: Redis, commands: Sequence[Command]) -> list[Any]:
        sizes.append(len(commands))
        return await send(client, commands)

    monkeypatch.setattr(shared, "_send", counted)
    wanted = [want("requests", 100), want("tokens", 10_000), want("parallel", 100)]

    await asyncio.gather(*(counters.take(wanted) for _ in range(20)))

    assert sizes == [20]


async def test_without_redis_each_process_counts_for_itself_and_comes_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await redis.close()
    url = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    wanted = [want("requests", 2), want("tokens", 100, amount=40), want("parallel", 2)]

    first, second = await counters.take(wanted), await counters.take(wanted)
    third = await counters.take(wanted)

    assert [each.is_shared for each in (first, second, third)] == [False] * 3
    assert (first.is_refused, second.is_refused, third.is_refused) == (False, False, True)
    counters.release(first, 10)
    counters.release(second, 70)
    await counters._open_work.finish()
    [tokens, parallel] = await local.counters().take([want("tokens", 100, amount=0), wanted[2]])
    assert (tokens.c, parallel.a) == (80, 1)

    await redis.close()
    settings.REDIS_URL = url
    monkeypatch.setattr("core.outage.PAUSE", 0)
    shared.outage._ask_again_at = 0
    again = await counters.take(wanted)
    assert (again.is_shared, again.is_refused) == (True, False)


async def test_closing_twice_harms_nobody() -> None:
    parallel = want("parallel", 1)
    counters.release(await counters.take([parallel]), None)

    await limits.close()
    await limits.close()

    assert await redis.client().zcard(parallel.key) == 0  # what was under way has arrived
    assert not (await counters.take([parallel])).is_refused  # and there is more where it came from
