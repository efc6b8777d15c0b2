"""The secrets of channels: encrypted, encrypted anew with a new key, and missed when it is lost."""

import io

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from pytest_django import Settings

from billing.alerts import channels
from billing.alerts.message import DeliveryFailed
from tests.alerts_support import SECRET, slack, webhook

pytestmark = pytest.mark.django_db


def test_secrets_follow_a_new_key_of_ours(settings: Settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.SECRET_KEYS = [old]
    channel = webhook("https://example.com/hook")
    settings.SECRET_KEYS = [new, old]
    output = io.StringIO()

    call_command("rotate_secrets", stdout=output)

    assert output.getvalue() == "Pager: encrypted anew\n"
    settings.SECRET_KEYS = [new]
    channel.refresh_from_db()
    assert channels.secrets_of(channel).url == "https://example.com/hook"
    assert channels.secrets_of(channel).signing_secret == SECRET


def test_a_channel_whose_key_is_lost_says_so(settings: Settings) -> None:
    made = [webhook("https://example.com/hook"), slack("https://example.com/slack")]
    settings.SECRET_KEYS = [Fernet.generate_key().decode()]

    said = []
    for channel in made:
        with pytest.raises(DeliveryFailed) as failed:
            channels.send_test(channel)
        said.append(str(failed.value))

    assert said == [
        "Its secret cannot be read: enter a new one.",
        "Its address cannot be read: enter it anew.",
    ]


def test_the_row_shows_nothing_but_the_host() -> None:
    channel = slack("https://user:hidden@hooks.example.com/T0/hidden")

    assert channel.host == "hooks.example.com"
    assert "hidden" not in repr(vars(channel))
