"""Labels move as their rules allow, one move after the other, and each move is written down."""

import threading
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from accounts.models import Organization, User
from core.errors import AppError, InvalidRequest, NotFound
from prompts import services
from prompts.content import MessageTemplate, PromptContent
from prompts.models import (
    Experiment,
    ExperimentState,
    LabelMove,
    LabelRule,
    MoveState,
    Prompt,
)
from prompts.releases import services as releases
from prompts.releases.errors import LabelUnchanged, MoveRefused, SecondPersonNeeded

pytestmark = pytest.mark.django_db


@pytest.fixture
def prompt(db: None) -> Prompt:
    """A prompt with three versions; the first is in production."""
    organization = Organization.objects.create(name="Acme", slug="acme")
    made = services.create_prompt(organization=organization, name="greeting")
    for number in (1, 2, 3):
        content = PromptContent(messages=(MessageTemplate("system", f"Text {number}."),))
        services.add_version(prompt=made, content=content)
    releases.move_label(prompt=made, number=1)
    return made


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create(username="ada", is_staff=True)


@pytest.fixture
def bo(db: None) -> User:
    return User.objects.create(username="bo", is_staff=True)


@pytest.fixture
def protected(prompt: Prompt) -> Prompt:
    """The prompt, whose production label needs a second person."""
    protect(prompt)
    return prompt


def protect(prompt: Prompt) -> None:
    LabelRule.objects.create(organization=prompt.organization, needs_second_person=True)


def in_production(prompt: Prompt) -> int:
    return prompt.labels.get(name="production").version.number


def soon() -> datetime:
    return timezone.now() + timedelta(hours=1)


def make_due(move: LabelMove) -> None:
    LabelMove.objects.filter(pk=move.pk).update(due_at=timezone.now() - timedelta(seconds=1))


def grow_old(prompt: Prompt, days: int) -> None:
    """Let all that was done be so long ago."""
    prompt.label_moves.update(ended_at=F("ended_at") - timedelta(days=days))


def test_a_move_says_who_when_from_where_to_where_and_why(prompt: Prompt, ada: User) -> None:
    move = releases.move_label(prompt=prompt, number=2, by=ada, note="Shorter")

    move.refresh_from_db()
    assert (move.previous_version, move.version.number) == (prompt.versions.get(number=1), 2)
    assert (move.proposed_by, move.note, move.state) == (ada, "Shorter", MoveState.DONE)
    assert move.ended_at is not None
    assert prompt.labels.get().moved_by == ada
    entry = LogEntry.objects.get(user=ada)
    assert entry.get_change_message() == "“production” to version 2, done: Shorter"
    assert entry.object_id == str(prompt.pk)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"number": 9}, NotFound),
        ({"number": 2, "name": "Loud"}, InvalidRequest),
        ({"number": 2, "note": "x" * 301}, InvalidRequest),
        ({"number": 1}, LabelUnchanged),
    ],
)
def test_a_move_that_leads_nowhere_is_refused(
    prompt: Prompt, fields: dict[str, Any], error: type[AppError]
) -> None:
    with pytest.raises(error):
        releases.move_label(prompt=prompt, **fields)

    assert prompt.label_moves.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_who_move_at_once_come_one_after_the_other(prompt: Prompt) -> None:
    start = threading.Barrier(2)

    def move(number: int) -> None:
        start.wait()
        releases.move_label(prompt=prompt, number=number)
        connection.close()

    people = [threading.Thread(target=move, args=[number]) for number in (2, 3)]
    for person in people:
        person.start()
    for person in people:
        person.join()

    first, second = prompt.label_moves.exclude(version__number=1).order_by("ended_at")
    assert first.previous_version == prompt.versions.get(number=1)
    assert second.previous_version == first.version
    assert in_production(prompt) == second.version.number


def test_a_protected_label_waits_for_a_second_person(
    protected: Prompt, ada: User, bo: User
) -> None:
    move = releases.release(prompt=protected, number=2, by=ada)
    assert (move.state, in_production(protected)) == (MoveState.PROPOSED, 1)

    with pytest.raises(SecondPersonNeeded):
        releases.confirm(move, by=ada)
    done = releases.confirm(move, by=bo)

    assert (done.state, done.decided_by, in_production(protected)) == (MoveState.DONE, bo, 2)
    assert protected.labels.get().moved_by == ada
    with pytest.raises(MoveRefused, match="done already"):
        releases.confirm(move, by=bo)


def test_nobody_gets_around_the_second_person(protected: Prompt, ada: User) -> None:
    with pytest.raises(SecondPersonNeeded):
        releases.move_label(prompt=protected, number=2, by=ada)
    with pytest.raises(SecondPersonNeeded):
        releases.schedule(prompt=protected, number=2, by=ada, due_at=soon())
    with pytest.raises(SecondPersonNeeded):
        releases.release(prompt=protected, number=2, by=None)
    other = releases.move_label(prompt=protected, number=2, name="staging", by=ada)
    assert other.state == MoveState.DONE


def test_the_database_lets_nobody_confirm_their_own_move(protected: Prompt, ada: User) -> None:
    move = releases.release(prompt=protected, number=2, by=ada)

    with pytest.raises(IntegrityError), transaction.atomic():
        LabelMove.objects.filter(pk=move.pk).update(state=MoveState.DONE, decided_by=ada)


def test_an_open_move_ends_once(protected: Prompt, ada: User, bo: User) -> None:
    move = releases.release(prompt=protected, number=2, by=ada)
    with pytest.raises(MoveRefused, match="withdraw it"):
        releases.refuse(move, by=ada)
    with pytest.raises(MoveRefused, match="others refuse it"):
        releases.withdraw(move, by=bo)
    with pytest.raises(MoveRefused, match="open already"):
        releases.release(prompt=protected, number=3, by=bo)

    assert releases.refuse(move, by=bo).state == MoveState.REFUSED

    with pytest.raises(MoveRefused, match="refused already"):
        releases.withdraw(move, by=ada)
    again = releases.release(prompt=protected, number=3, by=ada)
    assert releases.withdraw(again, by=ada).state == MoveState.WITHDRAWN
    assert in_production(protected) == 1


def test_a_scheduled_move_happens_when_it_is_due_and_once(prompt: Prompt, ada: User) -> None:
    move = releases.release(prompt=prompt, number=2, by=ada, due_at=soon())
    assert (move.state, releases.move_due(), in_production(prompt)) == (MoveState.SCHEDULED, 0, 1)
    make_due(move)

    assert [releases.move_due(), releases.move_due()] == [1, 0]

    move.refresh_from_db()
    assert (move.state, in_production(prompt)) == (MoveState.DONE, 2)
    assert prompt.labels.get().moved_by == ada


@pytest.mark.django_db(transaction=True)
def test_several_workers_make_a_due_move_once(prompt: Prompt, ada: User) -> None:
    for label in ("production", "staging", "canary"):
        make_due(releases.release(prompt=prompt, number=2, by=ada, name=label, due_at=soon()))
    start = threading.Barrier(3)
    counts: list[int] = []

    def work() -> None:
        start.wait()
        counts.append(releases.move_due())
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sum(counts) == 3
    assert prompt.label_moves.filter(state=MoveState.DONE).count() == 4


def test_a_time_is_in_the_future(prompt: Prompt, ada: User) -> None:
    with pytest.raises(InvalidRequest, match="future"):
        releases.release(prompt=prompt, number=2, by=ada, due_at=timezone.now())


def test_a_scheduled_move_of_a_protected_label_waits_for_person_and_time(
    protected: Prompt, ada: User, bo: User
) -> None:
    move = releases.release(prompt=protected, number=2, by=ada, due_at=soon())
    assert move.state == MoveState.PROPOSED

    assert releases.confirm(move, by=bo).state == MoveState.SCHEDULED
    assert in_production(protected) == 1
    with pytest.raises(MoveRefused, match="scheduled already"):
        releases.confirm(move, by=bo)
    make_due(move)
    releases.move_due()

    assert in_production(protected) == 2


def test_what_is_confirmed_after_its_time_happens_at_once(
    protected: Prompt, ada: User, bo: User
) -> None:
    move = releases.release(prompt=protected, number=2, by=ada, due_at=soon())
    make_due(move)

    assert releases.confirm(move, by=bo).state == MoveState.DONE


def test_a_proposal_is_never_made_by_time_alone(protected: Prompt, ada: User) -> None:
    make_due(releases.release(prompt=protected, number=2, by=ada, due_at=soon()))

    assert releases.move_due() == 0


def test_a_due_move_that_the_rule_no_longer_allows_fails_with_the_reason(
    prompt: Prompt, ada: User
) -> None:
    move = releases.release(prompt=prompt, number=2, by=ada, due_at=soon())
    protect(prompt)
    make_due(move)

    releases.move_due()

    move.refresh_from_db()
    assert (move.state, in_production(prompt)) == (MoveState.FAILED, 1)
    assert "second person" in move.failure
    assert "failed: A second person" in LogEntry.objects.latest("pk").get_change_message()


def test_a_due_move_to_where_the_label_is_by_now_fails(prompt: Prompt, ada: User) -> None:
    move = releases.release(prompt=prompt, number=2, by=ada, due_at=soon())
    releases.move_label(prompt=prompt, number=2, by=ada)
    make_due(move)

    releases.move_due()

    move.refresh_from_db()
    assert (move.state, move.failure) == (MoveState.FAILED, "Version 2 is “production” already.")


def test_anybody_else_may_stop_a_scheduled_move(prompt: Prompt, ada: User, bo: User) -> None:
    move = releases.release(prompt=prompt, number=2, by=ada, due_at=soon())

    assert releases.refuse(move, by=bo).state == MoveState.REFUSED


def test_a_rollback_leads_to_where_the_label_was_and_back_again(prompt: Prompt, ada: User) -> None:
    releases.move_label(prompt=prompt, number=3, by=ada)

    move = releases.rollback(prompt=prompt, by=ada, note="It swears")

    assert (move.state, in_production(prompt)) == (MoveState.DONE, 1)
    assert move.note == "Rollback from version 3. It swears"
    assert releases.rollback(prompt=prompt, by=ada).version.number == 3


def test_in_an_emergency_one_person_rolls_a_protected_label_back(
    protected: Prompt, ada: User, bo: User
) -> None:
    releases.confirm(releases.release(prompt=protected, number=2, by=ada), by=bo)
    grow_old(protected, days=29)

    move = releases.rollback(prompt=protected, by=ada)

    assert (move.state, move.decided_by, in_production(protected)) == (MoveState.DONE, None, 1)


def test_a_rollback_to_what_was_in_force_long_ago_is_a_move_like_another(
    protected: Prompt, ada: User, bo: User
) -> None:
    releases.confirm(releases.release(prompt=protected, number=2, by=ada), by=bo)
    grow_old(protected, days=31)

    move = releases.rollback(prompt=protected, by=ada)

    assert (move.state, in_production(protected)) == (MoveState.PROPOSED, 2)


@pytest.mark.parametrize("name", ["production", "staging"])
def test_what_never_moved_cannot_be_rolled_back(prompt: Prompt, ada: User, name: str) -> None:
    with pytest.raises(MoveRefused, match="no version to go back to"):
        releases.rollback(prompt=prompt, by=ada, name=name)


def test_a_label_can_be_taken_away(prompt: Prompt, ada: User) -> None:
    releases.move_label(prompt=prompt, number=1, name="staging")
    releases.move_label(prompt=prompt, number=2, name="staging")

    releases.delete_label(prompt=prompt, name="staging", by=ada)

    assert not prompt.labels.filter(name="staging").exists()
    assert "taken away" in LogEntry.objects.get(user=ada).get_change_message()
    with pytest.raises(MoveRefused, match="go back to"):
        releases.rollback(prompt=prompt, by=ada, name="staging")
    with pytest.raises(NotFound):
        releases.delete_label(prompt=prompt, name="staging", by=ada)
    assert releases.move_label(prompt=prompt, number=2, name="staging").previous_version is None


def test_a_label_in_use_stays(prompt: Prompt, ada: User) -> None:
    for name in ("ruled", "open", "split"):
        releases.move_label(prompt=prompt, number=1, name=name)
    LabelRule.objects.create(
        organization=prompt.organization, label="ruled", needs_second_person=True
    )
    releases.release(prompt=prompt, number=2, by=ada, name="open", due_at=soon())
    Experiment.objects.create(
        prompt=prompt, name="test", label="split", state=ExperimentState.RUNNING
    )

    for name in ("production", "ruled", "open", "split"):
        with pytest.raises(MoveRefused):
            releases.delete_label(prompt=prompt, name=name, by=ada)

    assert prompt.labels.count() == 4


def test_a_rule_of_another_organization_says_nothing(prompt: Prompt, ada: User) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    LabelRule.objects.create(
        organization=other, needs_second_person=True, required_pass_rate=Decimal(1)
    )

    assert releases.release(prompt=prompt, number=2, by=ada).state == MoveState.DONE
