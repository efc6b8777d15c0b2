"""Answers over several server processes: a stop from another one, a restart, a crash."""

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone
from websockets.asyncio.client import ClientConnection, connect

from chat import services
from chat.models import Message, Status
from core.cached import MAX_AGE
from tests import llm_support
from tests.chat_support import PATIENCE, Person, ended, eventually
from tests.servers import Server, running_server
from tests.vendor import Answer, FakeVendor

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.processes,
    pytest.mark.usefixtures("chat_loop"),
]


@pytest.fixture
def first(alice: Person, vendor: FakeVendor) -> Iterator[Server]:
    """A server that may be killed; the vendor it asks needs minutes for its answer."""
    vendor.script(Answer(text="word " * 10_000, pause=0.02))
    vendor.serve()
    with running_server() as running:
        yield running


@pytest.fixture
def second(server: Server, first: Server) -> Server:
    """Another server on the same database and Redis."""
    time.sleep(MAX_AGE)  # it may remember the routes of the test before
    return server


async def test_a_stop_from_another_process_reaches_the_model(
    alice: Person, vendor: FakeVendor, first: Server, second: Server
) -> None:
    async with asking(alice, first) as (turn, _), socket(alice, second, turn) as other:
        await send(other, "stop", message=str(turn.answer))

        await llm_support.eventually(lambda: vendor.cancelled == 1)
        message = await ended(turn.answer)
        assert message.status == Status.STOPPED
        assert message.cost_usd is not None


async def test_two_processes_show_the_same_answer(
    alice: Person, vendor: FakeVendor, first: Server, second: Server
) -> None:
    vendor.script(Answer(text="word " * 50 + "end", pause=0.02))

    async with asking(alice, first) as (turn, here), socket(alice, second, turn) as there:
        await send(there, "subscribe", message=str(turn.answer), cursor=0)
        texts = await asyncio.gather(text_of(here), text_of(there))

    assert texts[0] == texts[1] == (await ended(turn.answer)).text


async def test_a_reader_that_stalls_loses_nothing(
    alice: Person, vendor: FakeVendor, server: Server
) -> None:
    await sync_to_async(time.sleep)(MAX_AGE)  # it may remember the routes of the test before
    vendor.script(Answer(text="word " * 60_000 + "end"))
    await vendor.aserve()

    async with asking(alice, server) as (turn, here), socket(alice, server, turn) as stalled:
        await send(stalled, "subscribe", message=str(turn.answer), cursor=0)
        stalled.transport.pause_reading()
        text = await text_of(here)
        stalled.transport.resume_reading()

        assert await text_of(stalled) == text == (await ended(turn.answer)).text


async def test_a_server_that_is_told_to_end_ends_its_answers_first(
    alice: Person, first: Server, second: Server
) -> None:
    async with asking(alice, first) as (turn, here), socket(alice, second, turn) as there:
        await send(there, "subscribe", message=str(turn.answer), cursor=0)
        first.process.send_signal(signal.SIGTERM)

        assert await end_of(there) == Status.INTERRUPTED

        message = await ended(turn.answer)
        assert message.text.startswith("word word")
        assert message.cost_usd is not None
        await sync_to_async(first.process.wait)(PATIENCE)
        await here.wait_closed()


async def test_what_a_killed_server_wrote_is_kept_and_its_end_is_told(
    alice: Person, first: Server, second: Server
) -> None:
    async with asking(alice, first) as (turn, _), socket(alice, second, turn) as there:
        await send(there, "subscribe", message=str(turn.answer), cursor=0)
        os.killpg(first.process.pid, signal.SIGKILL)  # it leads a session of its own
        await Message.objects.filter(pk=turn.answer).aupdate(
            heartbeat_at=timezone.now() - timedelta(minutes=1)
        )
        await sync_to_async(services.reap)()

        assert await end_of(there) == Status.INTERRUPTED

    message = await ended(turn.answer)
    assert message.text.startswith("word word")


@asynccontextmanager
async def asking(
    person: Person, server: Server
) -> AsyncIterator[tuple[services.Turn, ClientConnection]]:
    """Ask over a server, and go on when the answer has begun."""
    before = await person.begins(model="test-model")
    await Message.objects.filter(pk=before.answer).aupdate(status=Status.COMPLETE, text="Yes.")
    async with socket(person, server, before) as opened:
        await send(opened, "send", text="And?", client_request_id=str(uuid.uuid4()))
        question, _, answer, _ = (await until(opened, "turn"))[1:]
        turn = services.Turn(
            conversation=before.conversation,
            question=uuid.UUID(question),
            answer=uuid.UUID(answer),
            is_new=False,
        )
        await eventually(turn.answer, lambda message: bool(message.text))
        yield turn, opened


@asynccontextmanager
async def socket(
    person: Person, server: Server, turn: services.Turn
) -> AsyncIterator[ClientConnection]:
    cookie = person.browser.cookies[settings.SESSION_COOKIE_NAME].value
    async with connect(
        f"{server.url.replace('http', 'ws', 1)}/ws/chat/{turn.conversation}/",
        origin=server.url,  # type: ignore[arg-type]  # a str is all it is
        additional_headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"},
        max_queue=None,  # what a test does not read stands in nobody's way
        subprotocols=["parley.chat.v1"],  # type: ignore[list-item]
    ) as opened:
        yield opened


async def send(opened: ClientConnection, type_: str, **fields: Any) -> None:
    await opened.send(json.dumps({"type": type_, **fields}))


async def until(opened: ClientConnection, name: str) -> list[Any]:
    """Return the next event of that name."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event: list[Any] = json.loads(await opened.recv())
            if event[0] == name:
                return event


async def end_of(opened: ClientConnection) -> str:
    return str((await until(opened, "status"))[2])


async def text_of(opened: ClientConnection) -> str:
    """Return the text that the socket brings, to the end."""
    text = ""
    async with asyncio.timeout(PATIENCE):
        async for frame in opened:
            event = json.loads(frame)
            if event[0] == "delta":
                text += event[2]
            if event[0] == "status":
                break
    return text
