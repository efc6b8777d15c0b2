"""Limits as a person in the chat meets them: a plain word, and nothing lost."""

import uuid
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from pytest_django import Settings

from chat import generation, services
from chat.models import Conversation, Message, Status
from llm.limits import rules
from llm.models import Scope
from tests.chat_support import Person, ended
from tests.limits_support import limit
from tests.vendor import FakeVendor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    rules.forget()
    yield
    rules.forget()
    services.questions.forget()


async def test_a_limited_answer_says_which_limit_and_when_to_come_again(
    alice: Person, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    await sync_to_async(limit)("Trial", Scope.USER, requests=1)
    first = await alice.begins(model="test-model")
    await generation.start(first)
    await ended(first.answer)
    second = await alice.begins(model="test-model")

    async with alice.window(second.conversation) as page:
        await generation.start(second)
        await page.command("subscribe", message=str(second.answer), cursor=0)
        _, _, status, code, text = await page.until("status")

    assert (status, code) == (Status.LIMITED, "rate_limit_exceeded")
    assert text.startswith("The limit “Trial” allows a user 1 request a minute. Try again in ")
    assert (await ended(second.answer)).error_message == text
    shown = await sync_to_async(alice.browser.get)(f"/chat/{second.conversation}/")
    assert "The limit “Trial”" in shown.content.decode()


async def test_a_limit_on_addresses_counts_people_too(alice: Person, vendor: FakeVendor) -> None:
    await vendor.aserve()
    await sync_to_async(limit)("Addresses", Scope.IP, requests=1)
    statuses = []

    for ip in ("192.0.2.50", "192.0.2.50", "192.0.2.51"):
        turn = await alice.begins(model="test-model")
        await generation.start(turn, ip)
        statuses.append((await ended(turn.answer)).status)

    assert statuses == [Status.COMPLETE, Status.LIMITED, Status.COMPLETE]


async def test_the_socket_refuses_a_person_who_asks_too_often(
    alice: Person, vendor: FakeVendor, settings: Settings
) -> None:
    settings.MESSAGES_PER_MINUTE = 2
    await vendor.aserve()
    turn = await alice.begins(model="test-model")
    await generation.start(turn)
    await ended(turn.answer)
    requests = [str(uuid.uuid4()) for _ in range(3)]

    async with alice.window(turn.conversation) as page:
        await page.command("subscribe", message=str(turn.answer), cursor=0)
        for request in requests[:2]:
            await page.until("status")
            await page.command("send", text="More", client_request_id=request)
        await page.until("status")
        await page.command("send", text="More", client_request_id=requests[2])
        _, code, text, request = await page.until("error")

    assert (code, request) == ("rate_limit_exceeded", requests[2])
    assert text.startswith("You have sent many messages in a short time. Try again in ")
    assert await Message.objects.filter(role="user").acount() == 3


def test_the_page_refuses_a_person_who_asks_too_often_and_keeps_the_text(
    alice: Person, settings: Settings
) -> None:
    settings.MESSAGES_PER_MINUTE = 1
    services.count_question(alice.principal)
    form = {"text": "My long question", "client_request_id": str(uuid.uuid4())}

    response = alice.browser.post("/", form)

    page = response.content.decode()
    assert response.status_code == 429
    assert 0 < int(response["Retry-After"]) <= 60
    assert "You have sent many messages in a short time." in page
    assert "My long question" in page
    assert not Conversation.objects.exists()
