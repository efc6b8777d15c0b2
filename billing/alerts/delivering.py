"""Deliveries: each is tried until it has arrived, or a day is over.

A worker takes a delivery for `LEASE` and sends it with no transaction open. If the worker dies, the
next one takes it after that; so a message can arrive twice, with the same id, but is never lost.
"""

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.alerts.channels import destination_of
from billing.alerts.clock import A_DAY, Clock
from billing.alerts.message import DeliveryFailed, Destination, Message, message_of
from billing.alerts.sending import send
from billing.models import AlertDelivery, DeliveryState

logger = structlog.get_logger(__name__)

AT_ONCE = 16
LEASE = timedelta(minutes=5)  # longer than any sender takes
FIRST_WAIT = timedelta(seconds=10)
LONGEST_WAIT = timedelta(hours=1)
GIVE_UP = A_DAY
JITTER = (0.8, 1.2)  # so that a receiver that comes back is not met by all at once


def deliver(clock: Clock = timezone.now) -> int:
    """Send what is due, safely in several workers at once; return how much was tried."""
    count = 0
    while taken := _take(clock()):
        with ThreadPoolExecutor(len(taken)) as pool:
            jobs = [
                (one, pool.submit(_try, message_of(one.alert), destination_of(one.channel), clock))
                for one in taken
            ]
            for delivery, job in jobs:
                _note(delivery, job.result(), clock())
        count += len(taken)
    return count


def send_again(deliveries: Iterable[AlertDelivery], clock: Clock = timezone.now) -> int:
    """Try again, for another day, what was given up; return how many there were."""
    now = clock()
    return (
        AlertDelivery.objects.dead()
        .filter(pk__in=[one.pk for one in deliveries])
        .update(
            state=DeliveryState.PENDING, attempts=0, queued_at=now, next_try_at=now, last_error=""
        )
    )


@transaction.atomic
def _take(now: datetime) -> list[AlertDelivery]:
    """Take what is due and nobody else has taken, for as long as the lease."""
    due = AlertDelivery.objects.due(now).select_related("alert", "channel")
    taken = list(due.select_for_update(skip_locked=True, of=("self",))[:AT_ONCE])
    AlertDelivery.objects.filter(pk__in=[one.pk for one in taken]).update(
        attempts=F("attempts") + 1, next_try_at=now + LEASE
    )
    for one in taken:
        one.attempts += 1
    return taken


def _try(message: Message, destination: Destination, clock: Clock) -> str:
    """Return why it has not arrived; empty if it has. Runs in a thread, without the database."""
    try:
        send(message, destination, clock())
    except DeliveryFailed as error:
        return str(error)
    except Exception:  # the edge of a delivery: one that breaks must not hold up the others
        logger.exception("billing.alert_sender_broke", alert_id=message.id)
        return "Parley could not send it; the reason is in the log."
    return ""


def _note(delivery: AlertDelivery, error: str, now: datetime) -> None:
    row = AlertDelivery.objects.filter(pk=delivery.pk, state=DeliveryState.PENDING)
    if not error:
        row.update(state=DeliveryState.SENT, sent_at=now, last_error="")
        return
    row = row.filter(attempts=delivery.attempts)  # or another worker has tried since
    next_try_at = now + _wait(delivery.attempts)
    if next_try_at < delivery.queued_at + GIVE_UP:
        row.update(next_try_at=next_try_at, last_error=error)
        return
    row.update(state=DeliveryState.DEAD, last_error=error)
    logger.error("billing.alert_given_up", channel=str(delivery.channel), reason=error)


def _wait(attempts: int) -> timedelta:
    """Return the time to the next attempt: doubled each time, up to an hour."""
    doubled: timedelta = FIRST_WAIT * 2 ** min(attempts - 1, 20)
    return min(doubled, LONGEST_WAIT) * random.uniform(*JITTER)  # noqa: S311 - no secret
