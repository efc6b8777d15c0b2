"""Alerts to programs: JSON by POST, signed as the Standard Webhooks specification has it."""

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import datetime

import msgspec

from billing.alerts.message import DeliveryFailed, Destination, Message
from billing.alerts.post import post

PREFIX = "whsec_"
SECRET_BYTES = 32
FEWEST_BYTES, MOST_BYTES = 24, 64


def send(message: Message, destination: Destination, now: datetime) -> None:
    """Post the message; raise `DeliveryFailed` unless the receiver answers 2xx."""
    if not destination.signing_secret:
        raise DeliveryFailed("Its secret cannot be read: enter a new one.")
    body = body_of(message)
    post(
        destination.url,
        body,
        headers(message.id, body, secret=destination.signing_secret, now=now),
    )


def body_of(message: Message) -> bytes:
    """Return what is sent: `id`, `type`, `timestamp`, words, and the facts as `data`."""
    return msgspec.json.encode(
        {
            "id": message.id,
            "type": message.type,
            "timestamp": message.at,
            "title": message.title,
            "text": message.text,
            "data": message.facts,
        }
    )


def headers(message_id: str, body: bytes, *, secret: str, now: datetime) -> dict[str, str]:
    """Return the headers that let the receiver check who sent this, and when."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def is_secret(text: str) -> bool:
    """Return whether receivers' libraries can read it: whsec_ and 24 to 64 bytes in base64."""
    try:
        return text.startswith(PREFIX) and FEWEST_BYTES <= len(_key(text)) <= MOST_BYTES
    except binascii.Error:
        return False


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
