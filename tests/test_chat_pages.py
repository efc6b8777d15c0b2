"""The chat's pages without a script, and who may see them."""

import re
import uuid

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from chat.models import Conversation, Message, Status
from tests.chat_support import Person, ended, eventually
from tests.vendor import Answer, FakeVendor

pytestmark = [pytest.mark.django_db(transaction=True)]
HOME = "/"


@pytest.mark.usefixtures("chat_loop")
async def test_a_form_asks_and_the_page_shows_the_answer(alice: Person, vendor: FakeVendor) -> None:
    vendor.script(Answer(text="**Four**, I think."))
    await vendor.aserve()
    browser = await signed_in(alice)

    asked = await browser.post(HOME, form(text="Two and two?", model="test-model"))
    answer = await Message.objects.aget(role="assistant")
    await ended(answer.pk)
    page = await browser.get(asked["Location"])

    html = page.content.decode()
    assert "<strong>Four</strong>, I think." in html
    assert "Two and two?" in html
    assert "vendor-model-1 · 10 in, 5 out · $0.00002" in html
    assert "http-equiv" not in html


@pytest.mark.usefixtures("chat_loop")
async def test_a_running_answer_loads_itself_anew_and_can_be_stopped(alice: Person) -> None:
    browser = await signed_in(alice)
    asked = await browser.post(HOME, form(model="fault-stall"))

    html = (await browser.get(asked["Location"])).content.decode()
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in html
    # It is not offered to everybody, and yet the conversation keeps its model.
    assert html.count('<option value="fault-stall" selected>') == 1
    stop = re.search(r'id="stop-form" action="([^"]+)"', html)
    assert stop is not None
    stopped = await browser.post(stop[1])

    assert stopped["Location"] == asked["Location"]
    answer = await Message.objects.aget(role="assistant")
    await eventually(answer.pk, lambda message: message.status == Status.STOPPED)


@pytest.mark.usefixtures("chat_loop")
async def test_a_refused_question_stays_in_the_composer(alice: Person) -> None:
    browser = await signed_in(alice)
    asked = await browser.post(HOME, form(model="fault-stall"))

    page = await browser.post(asked["Location"], form(text="Are you there?"))

    assert page.status_code == 409
    html = page.content.decode()
    assert "Wait for the answer that is being written, or stop it." in html
    assert ">Are you there?</textarea>" in html


@pytest.mark.parametrize(
    "change", [{"text": " "}, {"text": ""}, {"client_request_id": "7"}, {"text": "a\0b"}]
)
def test_a_wrong_form_is_told_what_is_wrong(alice: Person, change: dict[str, str]) -> None:
    page = alice.browser.post(HOME, form(**change))

    assert page.status_code == 400
    assert 'role="alert" id="composer-error">' in page.content.decode()
    assert not Conversation.objects.exists()


def test_home_lists_the_persons_own_conversations(alice: Person) -> None:
    bob = Person("bob", alice.organization)
    alice.begin("Her question")
    bob.begin("His question")

    html = alice.browser.get(HOME).content.decode()

    assert "Her question" in html
    assert "His question" not in html


def test_another_persons_pages_look_like_none(alice: Person) -> None:
    bob = Person("bob", alice.organization)
    turn = alice.begin()
    addresses = [
        (reverse("chat:conversation", args=[turn.conversation]), form()),
        (reverse("chat:conversation", args=[uuid.uuid4()]), form()),
        (reverse("chat:stop", args=[turn.answer]), {}),
        (reverse("chat:stop", args=[uuid.uuid4()]), {}),
    ]

    answers = [bob.browser.post(address, sent) for address, sent in addresses]
    answers += [bob.browser.get(address) for address, _ in addresses[:2]]

    assert {answer.status_code for answer in answers} == {404}
    assert Message.objects.count() == 2


def test_whoever_is_not_signed_in_is_asked_to(alice: Person) -> None:
    turn = alice.begin()
    address = reverse("chat:conversation", args=[turn.conversation])

    for page in (Client().get(address), Client().post(address, form())):
        assert page.status_code == 302
        assert page["Location"].startswith("/accounts/sign-in/")


def test_whoever_belongs_to_no_organization_is_told_so(alice: Person) -> None:
    browser = Client()
    browser.force_login(User.objects.create_user("lost"))

    page = browser.get(HOME)

    assert page.status_code == 403


def test_hostile_text_is_only_text(alice: Person) -> None:
    hostile = '<script>alert("x")</script>'
    turn = alice.begin(hostile)
    Message.objects.filter(pk=turn.answer).update(
        text=f"{hostile}\n\n{hostile}", status=Status.RUNNING
    )

    page = alice.browser.get(reverse("chat:conversation", args=[turn.conversation]))

    assert "<script>alert" not in page.content.decode()
    assert (
        "script-src" in page["Content-Security-Policy"]
        or "default-src 'self'" in page["Content-Security-Policy"]
    )


def test_a_long_conversation_takes_no_more_queries_than_a_short_one(alice: Person) -> None:
    short, long = alice.begin("Short"), alice.begin("Long")
    parent = Message.objects.get(pk=long.answer)
    for number in range(40):
        parent = Message.objects.create(
            conversation_id=long.conversation,
            parent=parent,
            role="assistant" if number % 2 else "user",
            text="Words",
            html="<p>Words</p>",
        )
    Conversation.objects.filter(pk=long.conversation).update(active_leaf=parent)
    alice.browser.get(HOME)

    counts = []
    for turn in (short, long):
        with CaptureQueriesContext(connection) as queries:
            alice.browser.get(reverse("chat:conversation", args=[turn.conversation]))
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 10


def test_staff_see_counts_and_money_but_no_words(alice: Person) -> None:
    turn = alice.begin("A private question")
    Message.objects.filter(pk=turn.answer).update(
        status=Status.COMPLETE, text="A private answer", cost_usd="0.25", input_tokens=7
    )
    staff = Client()
    staff.force_login(User.objects.create_superuser("boss"))

    pages = [
        staff.get(address).content.decode()
        for address in (
            reverse("admin:chat_conversation_changelist"),
            reverse("admin:chat_conversation_change", args=[turn.conversation]),
            reverse("admin:chat_message_changelist"),
            reverse("admin:chat_message_change", args=[turn.answer]),
        )
    ]

    for html in pages:
        assert "private" not in html
        assert "$0.25" in html


async def signed_in(person: Person) -> AsyncClient:
    browser = AsyncClient()
    await sync_to_async(browser.force_login)(person.user)
    return browser


def form(**changes: str) -> dict[str, str]:
    return {"text": "Hello", "client_request_id": str(uuid.uuid4()), "model": "", **changes}
