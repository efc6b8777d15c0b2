"""Who may do what to whose: person x object x verb, over pages, socket and REST."""

import asyncio
import tracemalloc
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.testing import HttpCommunicator
from django.test import Client

from accounts import keys
from accounts.models import Organization, User
from billing.entries import Hold
from billing.models import UsageRecord
from chat.models import Conversation, Message
from config.asgi import application
from tests.billing_support import attempt, book, make_tenant
from tests.chat_support import Person, window
from tests.playground_support import fields, make_prompt, tried

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]

STRANGERS = ["colleague", "foreigner", "staff", "nobody", "leaver"]
FORM = {"text": "Mine now", "client_request_id": str(uuid.uuid4())}


class World:
    """Alice's running answer, and those who are not Alice."""

    def __init__(self, alice: Person) -> None:
        self.alice = alice
        self.turn = alice.begin()
        other = Organization.objects.create(name="Other", slug="other")
        staff = Person("staff", alice.organization)
        User.objects.filter(pk=staff.user.pk).update(is_staff=True, is_superuser=True)
        leaver = Person("leaver", alice.organization)
        User.objects.filter(pk=leaver.user.pk).update(is_active=False)
        self.browsers = {
            "alice": alice.browser,
            "colleague": Person("colleague", alice.organization).browser,
            "foreigner": Person("foreigner", other).browser,
            "staff": staff.browser,
            "nobody": Client(),
            "leaver": leaver.browser,
        }

    def send(self, who: str, verb: str) -> Any:
        """Do it by a page or a form."""
        conversation = f"/chat/{self.turn.conversation}/"
        browser = self.browsers[who]
        match verb:
            case "read":
                return browser.get(conversation)
            case "ask":
                return browser.post(conversation, FORM)
            case _:
                return browser.post(f"/chat/stop/{self.turn.answer}/")

    def is_untouched(self) -> bool:
        answer = Message.objects.get(pk=self.turn.answer)
        return answer.stop_requested_at is None and Message.objects.count() == 2


@pytest.fixture
def world(alice: Person) -> World:
    return World(alice)


def test_alice_sees_what_is_hers_and_no_copy_is_kept(world: World) -> None:
    page = world.send("alice", "read")

    assert page.status_code == 200
    assert {"no-store", "private"} <= set(page["Cache-Control"].split(", "))


@pytest.mark.parametrize("verb", ["read", "ask", "stop"])
@pytest.mark.parametrize("who", STRANGERS)
def test_no_page_and_no_form_reaches_anothers_conversation(
    world: World, who: str, verb: str
) -> None:
    response = world.send(who, verb)

    if who in ("nobody", "leaver"):
        assert response.url.startswith("/accounts/sign-in/")
    else:
        assert response.status_code == 404
    assert "Hello" not in response.content.decode()
    assert world.is_untouched()


@pytest.mark.parametrize("who", STRANGERS)
async def test_no_socket_opens_on_anothers_conversation(world: World, who: str) -> None:
    async with window(world.turn.conversation, world.browsers[who]) as page:
        error, close = await page.event(), await page.event()

    assert error[0] == "error"
    assert close == ["close", 4401 if who in ("nobody", "leaver") else 4404]


@pytest.mark.parametrize("command", ["subscribe", "stop", "send"])
async def test_no_command_on_a_socket_of_ones_own_reaches_anothers_answer(
    world: World, command: str
) -> None:
    colleague = await User.objects.aget(username="colleague")
    own = await Conversation.objects.acreate(
        user=colleague, organization=world.alice.organization, client_request_id=uuid.uuid4()
    )
    fields = {"message": str(world.turn.answer)}
    if command == "send":
        fields = {**FORM, "parent": str(world.turn.answer)}

    async with window(own.pk, world.browsers["colleague"]) as page:
        await page.command(command, **fields)

        assert (await page.event())[0] == "error"
    assert await sync_to_async(world.is_untouched)()


@pytest.mark.parametrize("who", ["alice", "colleague", "foreigner", "nobody", "leaver"])
async def test_no_playground_opens_for_whoever_is_not_staff(world: World, who: str) -> None:
    prompt = await sync_to_async(make_prompt)(world.alice)

    async with tried(prompt.pk, world.browsers[who]) as page:
        error = await page.event()
        await page.run(fields((1, "demo-small"), name="Ada"))
        close = await page.event()

    assert error[0] == "error"
    assert close == ["close", 4401 if who in ("nobody", "leaver") else 4403]
    assert not await UsageRecord.objects.aexists()


@pytest.mark.parametrize("origin", [None, b"null", b"https://evil.example", b"http://localhost.io"])
async def test_only_our_own_pages_open_a_socket(world: World, origin: bytes | None) -> None:
    async with window(world.turn.conversation, world.alice.browser, origin=origin) as page:
        assert not page.is_open


@pytest.mark.parametrize("who", ["alice", "colleague", "nobody"])
@pytest.mark.parametrize("path", ["", "chat/message/", "llm/provider/", "accounts/apikey/add/"])
def test_the_administration_is_for_staff(world: World, who: str, path: str) -> None:
    assert world.browsers[who].get(f"/admin/{path}")["Location"].startswith("/admin/login/")


def test_staff_find_no_words_of_a_conversation(world: World) -> None:
    staff = world.browsers["staff"]
    for path in (
        "conversation/",
        "message/",
        f"conversation/{world.turn.conversation}/change/",
        f"message/{world.turn.question}/change/",
        f"message/{world.turn.answer}/change/",
    ):
        response = staff.get(f"/admin/chat/{path}")
        assert response.status_code == 200
        assert "Hello" not in response.content.decode()


@pytest.mark.parametrize(
    ("who", "seen"), [("alice", 1), ("colleague", 0), ("foreigner", 0), ("staff", 0)]
)
def test_usage_is_shown_to_who_has_it(world: World, who: str, seen: int) -> None:
    _spend(world.alice)

    response = world.browsers[who].get("/api/usage/")

    assert len(response.json()["results"]) == seen


def test_a_key_of_nobody_sees_neither_a_persons_usage_nor_a_page(world: World) -> None:
    _spend(world.alice)
    _, secret = keys.create(organization=world.alice.organization, name="Program")
    program = Client(headers={"authorization": f"Bearer {secret}"})

    assert program.get("/api/usage/").json()["results"] == []
    for path in ("/", f"/chat/{world.turn.conversation}/", "/admin/"):
        assert program.get(path).status_code == 302


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/demo-small", "/v1/none"])
async def test_a_session_is_no_key(world: World, path: str) -> None:
    cookie = f"sessionid={world.alice.browser.cookies['sessionid'].value}".encode()
    asked = HttpCommunicator(application, "GET", path, headers=[(b"cookie", cookie)])

    assert (await asked.get_response())["status"] == 401


async def test_no_memory_is_spent_on_a_body_before_its_key_is_known(world: World) -> None:
    size = 3_000_000
    asked: Any = ApplicationCommunicator(  # type: ignore[no-untyped-call]
        application,
        {
            **{"type": "http", "method": "POST", "path": "/v1/chat/completions"},
            **{"query_string": b"", "headers": []},
        },
    )
    tracemalloc.start()
    for _ in range(size // 100_000):
        await asked.send_input({"type": "http.request", "body": b"a" * 100_000, "more_body": True})
        await asyncio.sleep(0.01)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await asked.send_input({"type": "http.request", "body": b""})

    assert held < size / 2
    assert (await asked.receive_output(60))["status"] == 401


@pytest.mark.parametrize(
    "path", ["/", "/chat/{}/", "/chat/stop/{}/", "/accounts/sign-in/", "/accounts/sign-out/"]
)
def test_no_form_is_taken_from_a_foreign_page(world: World, path: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(world.alice.user)

    assert strict.post(path.format(world.turn.conversation), FORM).status_code == 403
    assert world.is_untouched()


def _spend(person: Person) -> None:
    made = attempt(make_tenant(), "0.001", principal=person.principal)
    book(Hold(made))
    assert UsageRecord.objects.count() == 1
