"""The chat's socket: what a window sees, and what it is refused."""

import uuid
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from accounts.models import Membership
from billing.models import Budget
from chat import generation, services
from chat.models import Message, Status
from tests.chat_support import Person, ended, window
from tests.vendor import Answer, FakeVendor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]


async def test_an_answer_streams_to_its_end_with_what_it_cost(alice: Person) -> None:
    turn = await alice.begins()

    async with alice.window(turn.conversation) as page:
        await generation.start(turn)
        await page.command("subscribe", message=str(turn.answer), cursor=0)
        usage = await page.until("usage")
        status = await page.until("status")

    message = await ended(turn.answer)
    assert status[2] == Status.COMPLETE == message.status
    assert page.text == message.text
    assert (page.html, page.rest) == (message.html, "")
    assert usage[2:] == [
        "demo-small",
        message.input_tokens,
        message.output_tokens,
        str(message.cost_usd),
    ]


async def test_every_window_shows_a_question_that_one_of_them_asks(
    alice: Person, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    turn = await answered(alice)
    request = str(uuid.uuid4())

    async with alice.window(turn.conversation) as first, alice.window(turn.conversation) as second:
        for page in (first, second):
            await page.command("subscribe", message=str(turn.answer), cursor=0)
            await page.until("status")
        await first.command("send", text="And then?", client_request_id=request)
        turns = [await page.until("turn") for page in (first, second)]
        for page in (first, second):
            await page.until("status")

    assert turns[0] == turns[1]
    assert turns[0][2] == "And then?"
    assert turns[0][4] == request
    assert first.text == second.text == Answer().text


async def test_a_question_sent_twice_is_asked_once(alice: Person, vendor: FakeVendor) -> None:
    await vendor.aserve()
    turn = await answered(alice)
    request = str(uuid.uuid4())

    async with alice.window(turn.conversation) as page:
        for _ in range(2):
            await page.command("send", text="Again", client_request_id=request)
        await page.until("status")
        await page.command("send", text="Last", client_request_id=str(uuid.uuid4()))
        await page.until("status")

    assert await Message.objects.filter(conversation_id=turn.conversation).acount() == 6


async def test_a_question_during_an_answer_is_refused_and_nothing_is_lost(alice: Person) -> None:
    turn = await alice.begins(model="fault-stall")
    await generation.start(turn)
    request = str(uuid.uuid4())

    async with alice.window(turn.conversation) as page:
        await page.command("send", text="Hurry", client_request_id=request)
        refusal = await page.until("error")

    assert refusal[1] == "generation_running"
    assert refusal[3] == request


async def test_a_budget_without_room_ends_the_answer_with_its_name_and_its_end(
    alice: Person,
) -> None:
    await Budget.objects.acreate(
        organization=alice.organization, name="Tiny", limit_usd=Decimal("0.000001")
    )
    turn = await alice.begins()

    async with alice.window(turn.conversation) as page:
        await generation.start(turn)
        await page.command("subscribe", message=str(turn.answer), cursor=0)
        _, _, status, code, text = await page.until("status")

    assert (status, code) == (Status.LIMITED, "budget_exceeded")
    assert "Tiny" in text
    message = await ended(turn.answer)
    assert (message.status, message.error_message) == (Status.LIMITED, text)


async def test_what_cannot_be_read_is_told_and_the_socket_stays(
    alice: Person, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    turn = await answered(alice)
    frames = [
        "nonsense",
        "[]",
        '{"type": "dance"}',
        '{"type": "send", "text": 5}',
        '{"type": "subscribe", "message": "7", "cursor": 0}',
        f'{{"type": "subscribe", "message": "{turn.answer}", "cursor": -1}}',
        f'{{"type": "subscribe", "message": "{turn.question}"}}',
        f'{{"type": "send", "text": " ", "client_request_id": "{uuid.uuid4()}"}}',
        f'{{"type": "send", "text": "\\u0000", "client_request_id": "{uuid.uuid4()}"}}',
        f'{{"type": "stop", "message": "{uuid.uuid4()}"}}',
    ]

    async with alice.window(turn.conversation) as page:
        for frame in frames:
            await page.raw(frame)
            assert (await page.event())[0] == "error", frame
        await page.command("subscribe", message=str(turn.answer), cursor=0)

        assert await page.until("status")


async def test_nobody_gets_in_without_signing_in(alice: Person) -> None:
    turn = await alice.begins()

    async with window(turn.conversation, Client()) as page:
        assert (await page.event())[:2] == ["error", "signed_out"]
        assert await page.event() == ["close", 4401]


async def test_another_persons_conversation_looks_like_none(alice: Person) -> None:
    bob = await sync_to_async(Person)("bob", alice.organization)
    turn = await alice.begins()

    seen = []
    for conversation in (turn.conversation, uuid.uuid4()):
        async with bob.window(conversation) as page:
            seen.append([await page.event(), await page.event()])

    assert seen[0] == seen[1]
    assert seen[0][1] == ["close", 4404]


async def test_another_conversations_answer_cannot_be_followed_or_stopped(alice: Person) -> None:
    bob = await sync_to_async(Person)("bob", alice.organization)
    hers, his = await alice.begins(), await bob.begins()

    async with bob.window(his.conversation) as page:
        for command in ("subscribe", "stop"):
            await page.command(command, message=str(hers.answer))
            assert (await page.event())[:2] == ["error", "not_found"]

    assert (await Message.objects.aget(pk=hers.answer)).stop_requested_at is None


async def test_a_foreign_page_cannot_open_the_socket(alice: Person) -> None:
    turn = await alice.begins()

    async with alice.window(turn.conversation, origin=b"https://evil.example") as page:
        assert not page.is_open


async def test_a_session_that_has_ended_can_ask_nothing_more(alice: Person) -> None:
    turn = await alice.begins()

    async with alice.window(turn.conversation) as page:
        await page.raw("{}")
        assert (await page.event())[1] == "invalid_request"
        await sync_to_async(alice.browser.logout)()
        await page.command("send", text="Hello?", client_request_id=str(uuid.uuid4()))

        assert (await page.event())[1] == "signed_out"
        assert await page.event() == ["close", 4401]


async def test_a_person_who_has_left_the_organization_is_shown_nothing(alice: Person) -> None:
    turn = await alice.begins()
    await Membership.objects.filter(user=alice.user).adelete()

    async with alice.window(turn.conversation) as page:
        assert (await page.event())[1] == "permission_denied"
        assert await page.event() == ["close", 4403]


async def answered(person: Person) -> services.Turn:
    """Return a turn whose answer, by the fake vendor, is complete."""
    turn = await person.begins(model="test-model")
    await generation.start(turn)
    await ended(turn.answer)
    return turn
