"""Channels: what is kept of their secrets, and a message to try them."""

from urllib.parse import urlsplit

import msgspec
from django.utils import timezone

from billing.alerts.message import TEST, Destination, Message
from billing.alerts.sending import send
from billing.models import AlertChannel
from core.encryption import decrypt, encrypt
from core.ids import new_id


class Secrets(msgspec.Struct, frozen=True):
    """What of a channel is stored encrypted."""

    url: str = ""
    signing_secret: str = ""


def set_secrets(channel: AlertChannel, *, url: str = "", signing_secret: str = "") -> None:
    """Encrypt the new ones on the row, without saving it; what is empty stays as it is."""
    stored = secrets_of(channel)
    new = Secrets(url or stored.url, signing_secret or stored.signing_secret)
    channel.host = (urlsplit(new.url).hostname or "")[:255]
    channel.secret_encrypted, channel.secret_key_id = encrypt(msgspec.json.encode(new).decode())


def secrets_of(channel: AlertChannel) -> Secrets:
    """Return the stored secrets; empty ones where none of our keys can read them."""
    text = decrypt(channel.secret_encrypted)
    return msgspec.json.decode(text, type=Secrets) if text else Secrets()


def destination_of(channel: AlertChannel) -> Destination:
    secrets = secrets_of(channel)
    return Destination(
        kind=channel.kind,
        recipients=tuple(channel.recipients),
        url=secrets.url,
        signing_secret=secrets.signing_secret,
    )


def send_test(channel: AlertChannel) -> None:
    """Send a message now that says it is a test; raise `DeliveryFailed` if it does not arrive."""
    now = timezone.now()
    message = Message(
        id=str(new_id()),
        type=TEST,
        title="Test: alerts arrive here",
        text=f"Somebody tries the alert channel “{channel.name}”. Nothing has happened.",
        at=now,
    )
    send(message, destination_of(channel), now)
