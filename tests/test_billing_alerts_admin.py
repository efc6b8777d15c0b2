"""Staff set who is told, try it, see what was told, and send again what was given up."""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import User
from billing.alerts import channels, webhook
from billing.alerts.delivering import deliver
from billing.alerts.finding import find
from billing.models import AlertChannel, AlertDelivery, AlertRule, DeliveryState
from tests.alerts_support import (
    Receiver,
    SetClock,
    add_rule,
    email,
    make_budget,
    receiving,
    slack,
    spend,
)
from tests.alerts_support import webhook as webhook_channel

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def boss(client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:billing_{name}", args=args)


def text_of(response: Any) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", response.content.decode()))


def filled(**more: str) -> dict[str, str]:
    """Return what the browser sends for a channel."""
    form = {"name": "Pager", "kind": "webhook", "addresses": "", "new_url": "", "new_secret": ""}
    return {**form, "is_active": "on", **more}


# --- Channels -------------------------------------------------------------------------------------


def test_a_webhook_gets_a_secret_that_is_shown_once(client: Client) -> None:
    sent = filled(new_url="https://example.com/hook?token=t0ken")

    shown = text_of(client.post(page("alertchannel_add"), sent, follow=True))

    channel = AlertChannel.objects.get()
    stored = channels.secrets_of(channel)
    assert webhook.is_secret(stored.signing_secret)
    assert f"The signing secret is {stored.signing_secret} — copy it now" in shown
    later = client.get(page("alertchannel_change", channel.pk)).content.decode()
    assert "example.com" in later
    assert "t0ken" not in later
    assert stored.signing_secret not in later
    assert "t0ken" not in channel.secret_encrypted


def test_what_is_left_empty_stays_as_it_is(client: Client) -> None:
    channel = slack("https://hooks.example.com/T0/B0/hidden")
    sent = filled(name="Renamed")
    del sent["kind"]

    assert client.post(page("alertchannel_change", channel.pk), sent).status_code == 302

    channel.refresh_from_db()
    assert (channel.name, channel.kind) == ("Renamed", "slack")
    assert channels.secrets_of(channel).url == "https://hooks.example.com/T0/B0/hidden"
    client.post(page("alertchannel_change", channel.pk), {**sent, "new_url": "https://other.eu/x"})
    channel.refresh_from_db()
    assert channels.secrets_of(channel).url == "https://other.eu/x"
    assert channel.host == "other.eu"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({}, "Give the address."),
        ({"kind": "slack"}, "Give the address."),
        ({"new_url": "ftp://example.com/"}, "It begins with https:// or http://."),
        ({"new_url": "https://e.com", "new_secret": "hunter2"}, "24 to 64 bytes in base64."),
        ({"kind": "email"}, "Give an address."),
        ({"kind": "email", "addresses": "boss@example.com\nboss"}, "boss is no address."),
    ],
)
def test_a_channel_that_leads_nowhere_is_refused(
    client: Client, more: dict[str, str], problem: str
) -> None:
    response = client.post(page("alertchannel_add"), filled(**more))

    assert response.status_code == 200
    assert problem in text_of(response)
    assert not AlertChannel.objects.exists()


def test_a_test_is_sent_at_once_and_its_end_is_said(client: Client, receiver: Receiver) -> None:
    channel = webhook_channel(receiver.url)

    good = text_of(client.post(page("alertchannel_test", channel.pk), follow=True))
    receiver.status = 404
    bad = text_of(client.post(page("alertchannel_test", channel.pk), follow=True))

    assert "The test was taken by 127.0.0.1." in good
    assert "The test did not arrive. The receiver answered 404." in bad
    assert json.loads(receiver.requests[0].body)["type"] == "test"
    assert not AlertDelivery.objects.exists()


def test_a_test_by_email(client: Client) -> None:
    channel = email("boss@example.com")

    client.post(page("alertchannel_test", channel.pk))

    assert [one.subject for one in mail.outbox] == ["[Parley] Test: alerts arrive here"]


def test_only_those_who_may_change_channels_send_tests(client: Client) -> None:
    channel = email()
    user = User.objects.create(username="limited", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_alertchannel"))
    client.force_login(user)

    assert client.get(page("alertchannel_test", channel.pk)).status_code == 405
    assert client.post(page("alertchannel_test", channel.pk)).status_code == 403
    assert mail.outbox == []


# --- Rules ----------------------------------------------------------------------------------------


def test_a_rule_keeps_each_threshold_once_in_order(client: Client) -> None:
    budget, channel = make_budget(), email()
    sent = {"budget": budget.pk, "channels": [channel.pk], "is_active": "on"}

    client.post(page("alertrule_add"), {**sent, "thresholds": "100, 50%,80, 50"})

    assert AlertRule.objects.get().thresholds == [50, 80, 100]
    shown = text_of(client.get(page("alertrule_changelist")))
    assert "50%, 80%, 100%" in shown
    assert channel.name in shown
    change = client.get(page("alertrule_change", AlertRule.objects.get().pk))
    assert 'value="50, 80, 100"' in change.content.decode()


def test_channels_are_found_by_name(client: Client) -> None:
    for name in ("Team b", "Other", "Team a"):
        email(name=name)
    field = {"app_label": "billing", "model_name": "alertrule", "field_name": "channels"}

    found = client.get("/admin/autocomplete/", {**field, "term": "team"}).json()["results"]

    assert [one["text"] for one in found] == ["Team a", "Team b"]


@pytest.mark.parametrize(
    ("thresholds", "problem"),
    [
        ("", "Give a threshold, or tell of the forecast."),
        ("50, 0", "“0” is no whole number from 1 to 1000."),
        ("eighty", "“eighty” is no whole number from 1 to 1000."),
        ("1001", "“1001” is no whole number from 1 to 1000."),
        ("-5", "“-5” is no whole number from 1 to 1000."),
    ],
)
def test_a_rule_that_could_tell_nothing_is_refused(
    client: Client, thresholds: str, problem: str
) -> None:
    sent = {"budget": make_budget().pk, "channels": [email().pk], "thresholds": thresholds}

    shown = text_of(client.post(page("alertrule_add"), sent))
    assert problem in shown

    assert not AlertRule.objects.exists()


# --- What was told --------------------------------------------------------------------------------


@pytest.fixture
def dead(receiver: Receiver) -> AlertDelivery:
    """A delivery that was given up."""
    clock = SetClock()
    budget = make_budget("100")
    add_rule(budget, webhook_channel(f"{receiver.url}/hidden"), thresholds=(80,))
    spend(budget, "90")
    find(clock)
    receiver.status = 500
    deliver(clock)
    clock.move(hours=30)
    deliver(clock)
    return AlertDelivery.objects.dead().get()


def test_what_was_given_up_is_said_and_sent_again(
    client: Client, dead: AlertDelivery, receiver: Receiver
) -> None:
    alerts = text_of(client.get(page("alert_changelist")))
    assert "Not arrived, and given up after a day: 1." in alerts
    assert "Pager: Given up" in alerts
    assert "The receiver answered 500." in text_of(client.get(page("alert_change", dead.alert_id)))
    listed = f"{page('alertdelivery_changelist')}?state__exact=dead"
    assert "The receiver answered 500." in text_of(client.get(listed))

    action = {"action": "send_again", "_selected_action": [str(dead.pk)]}
    told = text_of(client.post(listed, action, follow=True))
    receiver.status = 200
    deliver()

    assert "On their way again, for another day: 1." in told
    dead.refresh_from_db()
    assert dead.state == DeliveryState.SENT
    assert "given up after a day" not in text_of(client.get(page("alert_changelist")))


def test_only_those_who_may_change_deliveries_send_them_again(
    client: Client, dead: AlertDelivery
) -> None:
    user = User.objects.create(username="limited", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_alertdelivery"))
    client.force_login(user)

    action = {"action": "send_again", "_selected_action": [str(dead.pk)]}
    client.post(page("alertdelivery_changelist"), action)

    dead.refresh_from_db()
    assert dead.state == DeliveryState.DEAD


@pytest.mark.parametrize("name", ["alert", "alertdelivery"])
def test_history_is_not_changed_by_hand(client: Client, dead: AlertDelivery, name: str) -> None:
    pk = dead.alert_id if name == "alert" else dead.pk

    assert client.get(page(f"{name}_change", pk)).status_code == 200
    for verb in ("change", "delete"):
        assert client.post(page(f"{name}_{verb}", pk), {"post": "yes"}).status_code == 403
    assert client.get(page(f"{name}_add")).status_code == 403


@pytest.mark.parametrize("name", ["alert", "alertdelivery", "alertrule", "alertchannel"])
def test_lists_take_as_many_questions_for_many_rows_as_for_few(client: Client, name: str) -> None:
    counts = []
    for numbers in (range(2), range(2, 12)):
        for number in numbers:
            budget = make_budget("100")
            add_rule(budget, email(name=f"a{number}"), email(name=f"b{number}"), thresholds=(80,))
            spend(budget, "90")
        find(SetClock())
        with CaptureQueriesContext(connection) as asked:
            client.get(page(f"{name}_changelist"))
        counts.append(len(asked))

    assert counts[0] == counts[1]
