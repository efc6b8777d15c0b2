"""The chat's socket: what a window sees, and what it is refused."""

import uuid
from collections.abc import AsyncIterator

import pytest
from asgiref.sync import sync_to_async

from accounts.models import Organization
from chat import generation
from chat.models import Message, Status
from tests.chat_support import Person, ended

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]


async def test_an_answer_streams_to_its_end_with_what_it_cost(alice: Person) -> None:
    turn = await alice.begins()

    async with alice.window(turn.conversation) as window:
        await generation.start(turn)
        await window.command("subscribe", message=str(turn.answer), cursor=0)
        usage = await window.until("usage")
        status = await window.until("status")

    message = await ended(turn.answer)
    assert status[2] == Status.COMPLETE == message.status
    assert window.text == message.text
    assert window.html == message.html
    assert window.rest == ""
    assert usage[2:] == [
        "demo-small",
        message.input_tokens,
        message.output_tokens,
        str(message.cost_usd),
    ]
