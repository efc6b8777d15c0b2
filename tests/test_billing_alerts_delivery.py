"""Alerts arrive: at least once, after an outage, and from one of several workers."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import connections, transaction
from pytest_django import Settings

from billing.alerts import delivering
from billing.alerts.delivering import deliver, send_again
from billing.alerts.finding import find
from billing.models import AlertChannel, AlertDelivery, DeliveryState
from tests.alerts_support import (
    Receiver,
    SetClock,
    add_rule,
    email,
    make_budget,
    receiving,
    slack,
    spend,
    webhook,
)
from tests.llm_support import PATIENCE

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def alert(clock: SetClock) -> Callable[..., None]:
    """Record an alert at 80 % of a budget for channels."""

    def record(*channels: AlertChannel, name: str = "Monthly") -> None:
        budget = make_budget("100")
        type(budget).objects.filter(pk=budget.pk).update(name=name)
        add_rule(budget, *channels, thresholds=(80,))
        spend(budget, "81")
        assert find(clock) == 1

    return record


def test_each_channel_gets_the_alert_in_its_own_form(
    alert: Callable[..., None], receiver: Receiver, clock: SetClock
) -> None:
    alert(webhook(f"{receiver.url}/hook"), slack(f"{receiver.url}/slack"), email("a@b.c\nd@e.f"))

    assert deliver(clock) == 3

    assert set(AlertDelivery.objects.values_list("state", flat=True)) == {DeliveryState.SENT}
    bodies = {request.path: json.loads(request.body) for request in receiver.requests}
    assert bodies["/hook"]["type"] == "budget.threshold_reached"
    assert bodies["/hook"]["data"]["threshold_percent"] == 80
    assert bodies["/slack"]["text"].startswith("Monthly: 80% of the limit is spent\n$81.00 of")
    assert bodies["/slack"]["blocks"][0]["text"]["type"] == "plain_text"
    [sent] = mail.outbox
    assert sent.subject == "[Parley] Monthly: 80% of the limit is spent"
    assert sent.to == ["a@b.c", "d@e.f"]
    assert "$81.00 of $100.00 (81%) is spent by Acme" in str(sent.body)
    assert deliver(clock) == 0


def test_a_receiver_that_is_down_for_an_hour_gets_everything(
    alert: Callable[..., None], receiver: Receiver, clock: SetClock
) -> None:
    channel = webhook(receiver.url)
    alert(channel)
    receiver.status = 503
    for _ in range(60):
        deliver(clock)
        clock.move(minutes=1)
    alert(channel)
    tries = len(receiver.requests)
    failed = AlertDelivery.objects.exclude(last_error="").get()
    assert (failed.state, failed.last_error) == ("pending", "The receiver answered 503.")

    receiver.status = 200
    for _ in range(75):  # the longest wait is an hour and a fifth
        deliver(clock)
        clock.move(minutes=1)

    assert set(AlertDelivery.objects.values_list("state", flat=True)) == {DeliveryState.SENT}
    assert len(receiver.requests) == tries + 2
    assert 4 < tries < 15  # it was not hammered
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(set(ids[:tries])) == 1  # by which doubles are told


def test_after_a_day_it_is_given_up_and_can_be_sent_again(
    alert: Callable[..., None], receiver: Receiver, clock: SetClock
) -> None:
    alert(webhook(receiver.url))
    receiver.status = 500
    for _ in range(25 * 6):
        deliver(clock)
        clock.move(minutes=10)
    dead = AlertDelivery.objects.dead().get()
    tries = len(receiver.requests)
    assert 20 < tries < 50
    assert deliver(clock) == 0

    receiver.status = 200
    assert send_again([dead], clock) == 1
    assert deliver(clock) == 1

    dead.refresh_from_db()
    assert (dead.state, dead.attempts, dead.last_error) == (DeliveryState.SENT, 1, "")
    assert {request.headers["webhook-id"] for request in receiver.requests} == {str(dead.alert_id)}
    assert send_again([dead], clock) == 0


def test_a_worker_that_dies_while_it_sends_loses_nothing(
    alert: Callable[..., None], receiver: Receiver, clock: SetClock
) -> None:
    alert(webhook(receiver.url))
    taken = delivering._take(clock())  # and then it is killed
    assert len(taken) == 1
    assert deliver(clock) == 0

    clock.now += delivering.LEASE

    assert deliver(clock) == 1
    assert AlertDelivery.objects.get().state == DeliveryState.SENT


def test_a_failure_that_is_told_late_changes_nothing_of_what_came_after(
    alert: Callable[..., None], receiver: Receiver, clock: SetClock
) -> None:
    alert(webhook(receiver.url))
    [late] = delivering._take(clock())
    clock.now += delivering.LEASE
    deliver(clock)

    delivering._note(late, "The receiver answered 500.", clock())

    row = AlertDelivery.objects.get()
    assert (row.state, row.attempts, row.last_error) == (DeliveryState.SENT, 2, "")


def test_one_dead_receiver_holds_up_no_other_channel(
    alert: Callable[..., None], receiver: Receiver, clock: SetClock
) -> None:
    with receiving() as gone:
        address = gone.url
    alert(webhook(address, name="Gone"), webhook(receiver.url, name="There"), email())

    deliver(clock)

    states = dict(AlertDelivery.objects.values_list("channel__name", "state"))
    assert states == {"Gone": "pending", "There": "sent", "Boss": "sent"}


def test_a_sender_that_breaks_holds_up_no_other_channel(
    alert: Callable[..., None], clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*args: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("billing.alerts.webhook.body_of", break_down)
    alert(webhook("http://127.0.0.1:9/"), email())

    deliver(clock)

    said = dict(AlertDelivery.objects.values_list("channel__name", "last_error"))
    assert said == {"Pager": "Parley could not send it; the reason is in the log.", "Boss": ""}


def test_a_channel_that_is_switched_off_gets_it_when_it_is_on_again(
    alert: Callable[..., None], receiver: Receiver, clock: SetClock
) -> None:
    channel = webhook(receiver.url)
    alert(channel)
    AlertChannel.objects.update(is_active=False)
    assert deliver(clock) == 0

    AlertChannel.objects.update(is_active=True)

    assert deliver(clock) == 1


def test_a_name_with_markup_is_shown_as_it_is(
    alert: Callable[..., None], receiver: Receiver, clock: SetClock
) -> None:
    alert(slack(receiver.url), email(), name="<!channel> & <b>")

    deliver(clock)

    assert "&lt;!channel&gt; &amp; &lt;b&gt;" in json.loads(receiver.requests[0].body)["text"]
    [sent] = mail.outbox
    assert "<!channel> & <b>: 80%" in str(sent.body)
    assert isinstance(sent, EmailMultiAlternatives)
    shown = str(sent.alternatives[0][0])
    assert "&lt;!channel&gt; &amp; &lt;b&gt;: 80%" in shown
    assert "<b>" not in shown


def test_an_email_keeps_its_id_in_each_attempt(
    alert: Callable[..., None], clock: SetClock, settings: Settings
) -> None:
    backend = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    alert(email())
    deliver(clock)
    row = AlertDelivery.objects.get()
    assert row.last_error == "No mail server is set: EMAIL_HOST is empty."
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    clock.move(minutes=5)
    deliver(clock)
    row.refresh_from_db()
    assert row.last_error == "There is no connection to the mail server."

    settings.EMAIL_BACKEND = backend
    clock.move(minutes=5)
    deliver(clock)

    assert mail.outbox[0].message()["Message-ID"] == f"<{row.alert_id}@parley>"


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_time_send_each_alert_once(
    alert: Callable[..., None], receiver: Receiver, clock: SetClock
) -> None:
    channel = webhook(receiver.url)
    for _ in range(40):
        alert(channel)
    start = threading.Barrier(3)

    def work() -> None:
        start.wait()
        try:
            deliver(clock)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(ids) == len(set(ids)) == 40
    assert AlertDelivery.objects.filter(state=DeliveryState.SENT, attempts=1).count() == 40


@pytest.mark.django_db(transaction=True)
def test_a_worker_takes_nothing_that_another_is_taking(
    alert: Callable[..., None], clock: SetClock
) -> None:
    channel = webhook("http://127.0.0.1:9/")
    for _ in range(delivering.AT_ONCE + 4):
        alert(channel)
    second: list[AlertDelivery] = []

    def take() -> None:
        try:
            second.extend(delivering._take(clock()))
        finally:
            connections.close_all()

    with transaction.atomic():  # which is not over while the other one takes
        first = delivering._take(clock())
        other = threading.Thread(target=take, daemon=True)
        other.start()
        other.join(PATIENCE)

    assert len(first) == delivering.AT_ONCE
    assert len(second) == 4
    assert not {one.pk for one in first} & {one.pk for one in second}
