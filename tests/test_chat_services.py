"""Writing conversations: once for what is sent twice, and nobody else's."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from accounts.models import Membership, Organization
from accounts.services import principal_for
from chat import services
from chat.models import Conversation, Message, Status
from core.errors import AppError, InvalidRequest, NotFound
from tests.chat_support import Person, question

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_first_question_begins_a_conversation(alice: Person) -> None:
    turn = alice.begin("  How are\tyou?\nReally? ")

    conversation = Conversation.objects.get(pk=turn.conversation)
    asked, answer = conversation.branch()
    assert conversation.title == "How are you?"
    assert (asked.pk, asked.text) == (turn.question, "How are\tyou?\nReally?")
    assert (answer.pk, answer.parent_id, answer.status) == (
        turn.answer,
        turn.question,
        Status.RUNNING,
    )


def test_a_long_first_line_is_cut_for_the_title(alice: Person) -> None:
    turn = alice.begin("word " * 30)

    title = Conversation.objects.get(pk=turn.conversation).title
    assert title.endswith("word…")
    assert len(title) <= 60


def test_what_is_sent_twice_at_once_is_asked_once(alice: Person) -> None:
    asked = question("Hello", model="demo-small")

    def send(_: int) -> services.Turn:
        try:
            return services.start_conversation(principal=alice.principal, question=asked)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        turns = list(threads.map(send, range(4)))

    assert len({turn.answer for turn in turns}) == 1
    assert [turn.is_new for turn in turns].count(True) == 1
    assert Message.objects.count() == 2


def test_another_question_under_a_used_id_is_not_swallowed(alice: Person) -> None:
    asked = question("Hello")
    services.start_conversation(principal=alice.principal, question=asked)
    other = services.Question(text="Goodbye", client_request_id=asked.client_request_id)

    with pytest.raises(InvalidRequest):
        services.start_conversation(principal=alice.principal, question=other)


def test_one_answer_of_a_conversation_is_written_at_a_time(alice: Person) -> None:
    turn = alice.begin()

    with pytest.raises(services.GenerationRunning):
        send(alice, turn)

    Message.objects.filter(pk=turn.answer).update(status=Status.COMPLETE)
    assert send(alice, turn).is_new


def test_a_question_may_follow_an_earlier_answer(alice: Person) -> None:
    first = alice.begin("One")
    end(first)
    second = send(alice, first, "Two")
    end(second)

    third = send(alice, first, "Instead of two", parent=first.answer)

    branch = Conversation.objects.get(pk=first.conversation).branch()
    assert [message.pk for message in branch] == [
        first.question,
        first.answer,
        third.question,
        third.answer,
    ]


@pytest.mark.parametrize("text", ["", " \n ", "a\0b", "\ud800", "x" * 200_001])
def test_what_is_no_question_is_refused(alice: Person, text: str) -> None:
    with pytest.raises(InvalidRequest):
        alice.begin(text)

    assert not Conversation.objects.exists()


def test_a_question_cannot_follow_a_message_of_another_conversation(alice: Person) -> None:
    first, second = alice.begin(), alice.begin()
    end(first)

    with pytest.raises(InvalidRequest):
        send(alice, first, parent=second.answer)


def test_nobody_else_can_write_here(alice: Person) -> None:
    turn = alice.begin()
    end(turn)
    others = [Person("bob", alice.organization), Person("eve", another_organization())]

    for other in others:
        with pytest.raises(NotFound):
            send(other, turn)
        with pytest.raises(NotFound):
            services.stop(principal=other.principal, message_id=turn.answer)


def test_a_person_sees_in_an_organization_only_what_belongs_to_it(alice: Person) -> None:
    turn = alice.begin()
    other = another_organization()
    Membership.objects.create(user=alice.user, organization=other)
    elsewhere = principal_for(alice.user, other)

    assert not Conversation.objects.visible_to(elsewhere).exists()
    assert not Message.objects.visible_to(elsewhere).exists()
    assert Message.objects.visible_to(alice.principal).filter(pk=turn.answer).exists()


def test_a_refusal_leaves_nothing_behind(alice: Person) -> None:
    turn = alice.begin()
    end(turn)

    with pytest.raises(AppError):
        send(alice, turn, " ")

    assert Message.objects.count() == 2


def send(
    person: Person, turn: services.Turn, text: str = "More", parent: uuid.UUID | None = None
) -> services.Turn:
    return services.send_message(
        principal=person.principal,
        conversation_id=turn.conversation,
        question=question(text, parent=parent),
    )


def end(turn: services.Turn) -> None:
    Message.objects.filter(pk=turn.answer).update(status=Status.COMPLETE, text="Yes.")


def another_organization() -> Organization:
    return Organization.objects.create(name="Other", slug="other")
