"""One message to one channel, once."""

from datetime import datetime

from billing.alerts import email, slack, webhook
from billing.alerts.message import Destination, Message
from billing.models import ChannelKind

SENDERS = {
    ChannelKind.EMAIL: email.send,
    ChannelKind.WEBHOOK: webhook.send,
    ChannelKind.SLACK: slack.send,
}


def send(message: Message, destination: Destination, now: datetime) -> None:
    """Return when the receiver has taken the message; raise `DeliveryFailed` if it has not."""
    SENDERS[ChannelKind(destination.kind)](message, destination, now)
