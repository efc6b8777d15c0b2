"""Connections to vendors: kept, limited, closed."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from llm import errors
from llm.providers import (
    Connection,
    Deployment,
    Timeouts,
    http,
    openai_stream,
    openai_wire,
    provider_for,
)
from llm.types import Delta, End
from tests.llm_support import ask, eventually
from tests.vendor import Answer, FakeVendor, Gate

PATIENT = Timeouts(connect=60)


@pytest.fixture
async def closed_pools() -> AsyncIterator[None]:
    yield
    await http.close()


pytestmark = pytest.mark.usefixtures("closed_pools")


@pytest.fixture
def vendor() -> Iterator[FakeVendor]:
    with FakeVendor("vendor") as running:
        yield running


async def answer(
    vendor: FakeVendor,
    *,
    limit: int = 0,
    stream: bool = False,
    timeouts: Timeouts = PATIENT,
) -> list[Delta | End]:
    connection = Connection(
        name="vendor", kind="openai", base_url=f"{vendor.url}/v1", max_connections=limit
    )
    deployment = Deployment(connections=(connection,), model="m", timeouts=timeouts)
    async with aclosing(provider_for(connection).stream(ask(stream=stream), deployment)) as items:
        return [item async for item in items]


def addresses(vendor: FakeVendor) -> set[str]:
    """Return the addresses that the calls came from: one for each connection."""
    return {request.peer for request in vendor.requests}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_connection_is_kept_for_the_next_call(vendor: FakeVendor, stream: bool) -> None:
    for _ in range(3):
        await answer(vendor, stream=stream)

    assert len(vendor.requests) == 3
    assert len(addresses(vendor)) == 1


async def test_a_refusal_leaves_the_connection_as_it_was(vendor: FakeVendor) -> None:
    vendor.script(Answer(status=429), Answer())

    with pytest.raises(errors.RateLimited):
        await answer(vendor)
    await answer(vendor)

    assert len(addresses(vendor)) == 1


async def test_a_kept_connection_is_not_hurt_by_the_clock_of_the_call_before(
    vendor: FakeVendor,
) -> None:
    quick = Timeouts(connect=60, first_token=1.5, idle=1.5, total=1.5)
    await answer(vendor, stream=True, timeouts=quick)
    await asyncio.sleep(1.6)

    await answer(vendor, stream=True)

    assert len(addresses(vendor)) == 1


async def test_a_caller_that_leaves_closes_its_connection(vendor: FakeVendor) -> None:
    vendor.script(Answer(fault="stall"), Answer())
    waiting = asyncio.create_task(answer(vendor))
    await eventually(lambda: bool(vendor.requests))

    waiting.cancel()
    await asyncio.wait([waiting])
    await answer(vendor)

    await eventually(lambda: vendor.cancelled == 1)
    assert len(addresses(vendor)) == 2


async def test_whoever_waits_for_a_connection_in_vain_has_cost_nothing(
    vendor: FakeVendor,
) -> None:
    vendor.script(Answer(fault="stall"))
    busy = asyncio.create_task(answer(vendor, limit=1))
    await eventually(lambda: bool(vendor.requests))

    with pytest.raises(errors.TimedOut, match="connection") as failed:
        await answer(vendor, limit=1, timeouts=Timeouts(connect=0.2))

    assert not failed.value.may_have_been_billed
    assert len(vendor.requests) == 1
    busy.cancel()
    await asyncio.wait([busy])


async def test_a_limit_makes_calls_wait_for_each_other(vendor: FakeVendor) -> None:
    gate = Gate()
    vendor.script(Answer(text="one two three", gate=gate))

    asking = [asyncio.create_task(answer(vendor, limit=2, stream=True)) for _ in range(6)]
    await eventually(lambda: len(vendor.requests) == 2)
    gate.open()
    await asyncio.gather(*asking)

    assert len(vendor.requests) == 6
    assert len(addresses(vendor)) == 2


async def test_a_changed_limit_is_in_force_at_once(vendor: FakeVendor) -> None:
    vendor.script(Answer(fault="stall"), Answer())
    busy = asyncio.create_task(answer(vendor, limit=1))
    await eventually(lambda: bool(vendor.requests))

    await answer(vendor, limit=2)

    assert len(vendor.requests) == 2
    busy.cancel()
    await asyncio.wait([busy])


async def test_a_large_body_arrives_whole(vendor: FakeVendor) -> None:
    connection = Connection(name="vendor", kind="openai", base_url=f"{vendor.url}/v1")
    deployment = Deployment(connections=(connection,), model="m")
    text = "word " * 1_000_000

    async with aclosing(
        provider_for(connection).stream(ask(text, stream=False), deployment)
    ) as items:
        assert [item async for item in items]

    assert vendor.requests[0].body["messages"][0]["content"] == text


async def test_whatever_comes_before_the_answer_is_skipped(vendor: FakeVendor) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n"
    body = b'{"choices": [{"message": {"content": "Hi"}}]}'
    vendor.script(Answer(wire=b"HTTP/1.1 103 Early Hints\r\n\r\n" + whole + body))

    first, _ = await answer(vendor)

    assert isinstance(first, Delta)
    assert first.text == "Hi"


async def test_hints_without_an_answer_end_the_call(vendor: FakeVendor) -> None:
    vendor.script(Answer(wire=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100))

    with pytest.raises(errors.MalformedAnswer, match="never answers"):
        await answer(vendor)


async def test_a_proxy_that_the_environment_names_is_asked(
    vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", vendor.url.replace("//", "//user:word@"))
    monkeypatch.delenv("no_proxy", raising=False)
    vendor.script(Answer(status=407))
    connection = Connection(name="vendor", kind="openai", base_url="http://model.invalid/v1")
    deployment = Deployment(connections=(connection,), model="m")

    with pytest.raises(errors.ProviderError):
        async with aclosing(provider_for(connection).stream(ask(), deployment)) as items:
            await anext(items)

    [received] = vendor.requests
    assert received.headers["Host"] == "model.invalid"
    assert received.headers["Proxy-Authorization"] == "Basic dXNlcjp3b3Jk"


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_without_end_is_hung_up(
    vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr(http, "LONGEST_ANSWER", 100)
    vendor.script(Answer(text="and so on " * 100))

    with pytest.raises(errors.MalformedAnswer, match="endless"):
        await answer(vendor, stream=stream)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b'{"choices": [{"message": {"content": "\xff"}}]}', errors.MalformedAnswer),
        (200, b'{"choices": ' + b"[" * 100_000, errors.MalformedAnswer),
        (400, b'{"error": {"message": "\xff"}}', errors.RequestRefused),
        (400, b'{"error": ' + b"[" * 100_000, errors.RequestRefused),
    ],
    ids=["no UTF-8", "nested", "no UTF-8 in a refusal", "nested in a refusal"],
)
async def test_what_cannot_be_read_is_the_vendors_fault(
    vendor: FakeVendor, status: int, body: bytes, kind: type[errors.ProviderError]
) -> None:
    vendor.script(Answer(status=status, body=body))

    with pytest.raises(kind):
        await answer(vendor)


async def test_closing_hangs_up(vendor: FakeVendor) -> None:
    await answer(vendor)

    await http.close()
    await answer(vendor)

    assert len(addresses(vendor)) == 2


async def test_chunks_without_content_do_not_pile_up(vendor: FakeVendor) -> None:
    empty = (f'data: {{"choices": [{{"delta": {{}}}}], "n": {n}}}\n\n' for n in range(500))
    end = 'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\n'
    vendor.script(Answer(body="".join([*empty, end]).encode()))

    first, *_ = await answer(vendor, stream=True)

    assert isinstance(first, Delta)
    assert first.text == "Hi"
    assert (first.raw or b"").count(b"data: ") <= openai_stream.MOST_WAITING + 1


def test_a_hundred_thousand_tool_calls_are_numbered_quickly() -> None:
    numbers = openai_wire.CallNumbers()
    began = time.process_time()

    given = [numbers.number(0, str(each)) for each in range(100_000)]

    assert given == list(range(100_000))
    assert time.process_time() - began < 20  # a search for each would take minutes
