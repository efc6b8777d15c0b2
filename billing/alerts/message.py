"""What is sent, to where, and why it could not be."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billing.models import Alert

TEST = "test"


class DeliveryFailed(Exception):
    """It has not arrived. The message is for staff: it names no address and no secret."""


@dataclass(frozen=True, slots=True)
class Message:
    """An alert as it is sent. The id is the same in each attempt, so that doubles can be told."""

    id: str
    type: str
    title: str
    text: str
    at: datetime
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a channel leads to, with its secrets."""

    kind: str
    recipients: tuple[str, ...] = ()
    url: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)


def message_of(alert: Alert) -> Message:
    return Message(
        id=str(alert.pk),
        type=alert.kind,
        title=" ".join(alert.title.split()),
        text=alert.text,
        at=alert.created_at,
        facts=alert.facts,
    )
