"""When a key was last used: to the minute, and no call waits for it to be written down."""

import time
from collections.abc import Collection
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiKey
from core.database import translate_outage
from core.repeating import Repeating

EVERY = 60.0  # seconds between two notes of one key
DELAY = 2.0  # seconds that notes of several keys wait for each other
MOST = 10_000  # keys that a process remembers

clock = time.monotonic  # seconds; tests move it on

_noted: dict[int, float] = {}  # when this process last took note of a key
_waiting: set[int] = set()


def note(key_id: int | None) -> None:
    """Take note that a key is used now; one write follows soon for all that are noted."""
    if key_id is not None and _is_due(key_id):
        _waiting.add(key_id)
        _writer.begin()


def save(key_id: int | None) -> None:
    """Write down that a key is used now, for code that is not async."""
    if key_id is not None and _is_due(key_id):
        _write([key_id])


async def flush() -> None:
    """Write down what is noted."""
    await _write_waiting()


def forget() -> None:
    """Forget what was noted in this process."""
    _noted.clear()
    _waiting.clear()


def _is_due(key_id: int) -> bool:
    now = clock()
    if now < _noted.get(key_id, -EVERY) + EVERY:
        return False
    if len(_noted) >= MOST:
        _noted.clear()
    _noted[key_id] = now
    return True


async def _write_waiting() -> bool:
    """Write what is waiting, and return whether there is more by now."""
    keys = set(_waiting)
    _waiting.clear()
    if keys:
        await sync_to_async(_write, thread_sensitive=False)(keys)
    return bool(_waiting)


def _write(key_ids: Collection[int]) -> None:
    now = timezone.now()
    is_old = Q(last_used_at=None) | Q(last_used_at__lt=now - timedelta(seconds=EVERY))
    with translate_outage():
        ApiKey.objects.filter(is_old, pk__in=key_ids).update(last_used_at=now)


_writer = Repeating(_write_waiting, seconds=DELAY)
