"""Conversations over REST, for who has them."""

from typing import Any

import pytest
from django.test import Client

from accounts import keys
from accounts.models import Organization
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
def test_nothing_is_written(alice: Person, verb: str) -> None:
    turn = alice.begin()
    for path in ("", f"{turn.conversation}/", f"{turn.conversation}/messages/"):
        assert getattr(alice.browser, verb)(f"/api/conversations/{path}").status_code == 405
