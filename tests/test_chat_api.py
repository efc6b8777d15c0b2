"""Conversations over REST, for who has them."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts import keys
from accounts.models import Organization
from billing.entries import Hold, Settle
from billing.models import UsageRecord
from chat import services
from chat.models import Conversation, Message, Status
from tests.billing_support import attempt, book, make_tenant, settlement
from tests.chat_support import Person

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_person_reads_their_conversations(alice: Person) -> None:
    turn = alice.begin("What is a parley?")

    [row] = alice.browser.get("/api/conversations/").json()["results"]
    messages = alice.browser.get(f"/api/conversations/{row['id']}/messages/").json()["results"]

    assert (row["id"], row["title"]) == (str(turn.conversation), "What is a parley?")
    assert alice.browser.get(f"/api/conversations/{row['id']}/").json() == row
    assert [(message["role"], message["text"]) for message in messages] == [
        ("user", "What is a parley?"),
        ("assistant", ""),
    ]
    assert messages[1]["status"] == "running"
    assert messages[1]["parent"] == messages[0]["id"]


def test_a_key_of_theirs_reads_them_too_if_it_is_for_that(alice: Person) -> None:
    alice.begin()
    for scopes, status in ((["data"], 200), (["chat"], 403)):
        _, secret = keys.create(
            organization=alice.organization, name="ci", user=alice.user, scopes=scopes
        )
        program = Client(headers={"authorization": f"Bearer {secret}"})
        assert program.get("/api/conversations/").status_code == status


def test_nobody_else_reads_them(alice: Person) -> None:
    turn = alice.begin()
    foreigner = Person("foreigner", Organization.objects.create(name="Other", slug="other"))
    _, secret = keys.create(organization=alice.organization, name="of nobody")
    program = Client(headers={"authorization": f"Bearer {secret}"})

    for browser in (
        Person("colleague", alice.organization).browser,
        foreigner.browser,
        program,
    ):
        assert browser.get("/api/conversations/").json()["results"] == []
        for path in ("", "messages/"):
            address = f"/api/conversations/{turn.conversation}/{path}"
            assert browser.get(address).status_code == 404
    assert Client().get("/api/conversations/").status_code == 401


def test_conversations_are_filtered_and_come_in_pages(
    alice: Person, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        alice.begin(f"Question {number}")

    with django_assert_max_num_queries(6):
        page = alice.browser.get("/api/conversations/?page_size=2").json()
    rest = alice.browser.get(page["next"]).json()
    moment = page["results"][-1]["updated_at"]
    newer = alice.browser.get("/api/conversations/", {"updated_after": moment}).json()

    titles = [row["title"] for row in page["results"] + rest["results"]]
    assert titles == ["Question 2", "Question 1", "Question 0"]
    assert [row["title"] for row in newer["results"]] == ["Question 2"]
    wrong = alice.browser.get("/api/conversations/?updated_after=yesterday")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
def test_messages_are_written_in_the_chat_alone(alice: Person, verb: str) -> None:
    turn = alice.begin()
    for path in ("", f"{turn.conversation}/messages/"):
        assert getattr(alice.browser, verb)(f"/api/conversations/{path}").status_code == 405


def rename(browser: Client, conversation: uuid.UUID, title: object) -> Any:
    body = {"title": title, "model": "mine", "updated_at": "2001-01-01T00:00:00Z"}
    return browser.patch(f"/api/conversations/{conversation}/", body, "application/json")


def test_a_conversation_gets_another_title_and_keeps_its_place(alice: Person) -> None:
    conversation = alice.begin("What is a parley?").conversation
    before = Conversation.objects.values().get()

    response = rename(alice.browser, conversation, "  Talks \n of peace ")

    assert (response.status_code, response.json()["title"]) == (200, "Talks of peace")
    assert Conversation.objects.values().get() == {**before, "title": "Talks of peace"}


@pytest.mark.parametrize("title", ["", " \n ", "x" * 61, "a\0b", None, ["a"], 0])
def test_what_is_no_title_is_refused(alice: Person, title: object) -> None:
    conversation = alice.begin("What is a parley?").conversation

    response = rename(alice.browser, conversation, title)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")
    assert Conversation.objects.get().title == "What is a parley?"


def finished(alice: Person) -> services.Turn:
    """Have a conversation whose answer is written and paid."""
    turn = alice.begin()
    Message.objects.filter(pk=turn.answer).update(status=Status.COMPLETE, cost_usd=1)
    return turn


def test_a_conversation_is_deleted_and_what_it_cost_stays(alice: Person) -> None:
    kept = finished(alice)
    turn = finished(alice)
    paid = attempt(make_tenant("1.00"), principal=alice.principal)
    book(Hold(paid))
    book(Settle(settlement(paid)))
    Message.objects.filter(pk=turn.answer).update(usage_id=paid.id)

    response = alice.browser.delete(f"/api/conversations/{turn.conversation}/")

    assert response.status_code == 204
    assert [row.pk for row in Conversation.objects.all()] == [kept.conversation]
    assert {row.conversation_id for row in Message.objects.all()} == {kept.conversation}
    assert UsageRecord.objects.get(pk=paid.id).cost_usd == Decimal("0.03")


def test_a_conversation_is_not_deleted_while_an_answer_is_written(alice: Person) -> None:
    turn = alice.begin()

    response = alice.browser.delete(f"/api/conversations/{turn.conversation}/")

    assert (response.status_code, response.json()["error"]["code"]) == (409, "generation_running")
    assert Message.objects.count() == 2


def test_nobody_else_renames_or_deletes_it(alice: Person) -> None:
    conversation = finished(alice).conversation
    colleague = Person("colleague", alice.organization).browser

    assert rename(colleague, conversation, "Mine").status_code == 404
    assert colleague.delete(f"/api/conversations/{conversation}/").status_code == 404
    assert Conversation.objects.get().title == "Hello"


@pytest.mark.parametrize(("scopes", "statuses"), [([], (403, 403)), (["data"], (200, 204))])
def test_a_key_writes_if_it_names_the_scope(
    alice: Person, scopes: list[str], statuses: tuple[int, int]
) -> None:
    conversation = finished(alice).conversation
    _, secret = keys.create(
        organization=alice.organization, name="ci", user=alice.user, scopes=scopes
    )
    program = Client(headers={"authorization": f"Bearer {secret}"})

    renamed = rename(program, conversation, "Talks")
    deleted = program.delete(f"/api/conversations/{conversation}/")

    assert (renamed.status_code, deleted.status_code) == statuses
