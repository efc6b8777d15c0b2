"""Alerts to Slack, and to what takes its incoming webhooks (Mattermost, Discord's /slack)."""

from datetime import datetime

import msgspec

from billing.alerts.message import Destination, Message
from billing.alerts.post import post

LONGEST_HEADER = 150  # characters, by Slack's rules
LONGEST_TEXT = 2900


def send(message: Message, destination: Destination, now: datetime) -> None:
    """Post the message; raise `DeliveryFailed` unless it is taken."""
    post(destination.url, body_of(message), {})


def body_of(message: Message) -> bytes:
    """Return a `text` for notifications and old readers, and the same as blocks."""
    return msgspec.json.encode(
        {
            "text": _escaped(f"{message.title}\n{message.text}"),
            "blocks": [
                {"type": "header", "text": _plain(message.title, LONGEST_HEADER)},
                {"type": "section", "text": _plain(message.text, LONGEST_TEXT)},
                {"type": "context", "elements": [_plain(f"Parley, {message.id}", LONGEST_TEXT)]},
            ],
        }
    )


def _plain(text: str, longest: int) -> dict[str, str]:
    shown = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return {"type": "plain_text", "text": shown}


def _escaped(text: str) -> str:
    """Return the text so that a budget's name can call nobody and link to nothing."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
