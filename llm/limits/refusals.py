"""Who was limited: counted here, and written down by the minute in the background.

A refusal costs whoever floods us nothing; so it may not cost us a write, nor memory without end.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from asgiref.sync import sync_to_async
from django.db import IntegrityError, connection
from django.utils import timezone

from core.database import translate_outage
from core.errors import DependencyDown
from core.loop_local import LoopLocal
from core.open_work import OpenWork
from core.repeating import Repeating
from llm.models import LimitRefusal

logger = structlog.get_logger(__name__)

FLUSH_SECONDS = 5.0
MOST = 200  # callers told apart between two writes; of the others only the number is kept
KEPT = timedelta(days=30)
PRUNED_AT_ONCE = 5_000  # rows

ADD = """
INSERT INTO llm_limitrefusal (
    minute, limit_name, figure, organization_id, user_name, api_key_prefix, ip, surface,
    count, first_at, last_at
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT ON CONSTRAINT limit_refusal_once_a_minute DO UPDATE SET
    count = llm_limitrefusal.count + excluded.count,
    first_at = least(llm_limitrefusal.first_at, excluded.first_at),
    last_at = greatest(llm_limitrefusal.last_at, excluded.last_at)
"""


@dataclass(frozen=True, slots=True)
class Refused:
    """Who was refused what."""

    limit_name: str
    figure: str
    organization_id: int | None = None
    user_name: str = ""
    api_key_prefix: str = ""
    ip: str = ""
    surface: str = ""


@dataclass(slots=True)
class Count:
    times: int
    first_at: datetime
    last_at: datetime


Minute = tuple[datetime, Refused]


class Refusals:
    """Those of one event loop that are not written down yet."""

    def __init__(self) -> None:
        self._counts: dict[Minute, Count] = {}
        self._writing = OpenWork()
        self._flushing = Repeating(self.flush, seconds=FLUSH_SECONDS)

    def note(self, refused: Refused) -> None:
        """Count a refusal."""
        now = timezone.now()
        self._add((now.replace(second=0, microsecond=0), refused), Count(1, now, now))
        self._flushing.begin()

    async def flush(self) -> bool:
        """Write down what has been counted; return whether there is more, or some is kept."""
        return await asyncio.shield(self._writing.go_on(self._write_down()))

    async def _write_down(self) -> bool:
        counts, self._counts = self._counts, {}
        if not counts:
            return False
        try:
            await sync_to_async(_write, thread_sensitive=False)(counts)
        except DependencyDown:
            for minute, count in counts.items():
                self._add(minute, count)
        except IntegrityError:  # an organization was deleted meanwhile
            logger.warning("llm.refusals_not_recorded", rows=len(counts))
        return bool(self._counts)

    async def close(self) -> None:
        """Write down what is left."""
        await self._flushing.stop()
        await self._writing.finish()  # what it was in the middle of would be lost
        await self.flush()

    def _add(self, minute: Minute, more: Count) -> None:
        known = self._counts.get(minute)
        if known is None and len(self._counts) >= MOST:
            at, refused = minute
            minute = (at, Refused(refused.limit_name, refused.figure, surface=refused.surface))
            known = self._counts.get(minute)
        if known is None:
            self._counts[minute] = more
            return
        known.times += more.times
        known.first_at = min(known.first_at, more.first_at)
        known.last_at = max(known.last_at, more.last_at)


def note(refused: Refused) -> None:
    """Count a refusal; it is in the admin some seconds later."""
    _refusals.get().note(refused)


async def close() -> None:
    """Write down what has been counted in this event loop."""
    refusals = _refusals.pop()
    if refusals is not None:
        await refusals.close()


def remove_old() -> int:
    """Delete rows older than `KEPT`, and return how many."""
    old = LimitRefusal.objects.filter(minute__lt=timezone.now() - KEPT)
    some = list(old.order_by("pk").values_list("pk", flat=True)[:PRUNED_AT_ONCE])
    LimitRefusal.objects.filter(pk__in=some).delete()
    return len(some)


def _write(counts: dict[Minute, Count]) -> None:
    rows = [
        (
            *(at, refused.limit_name, refused.figure, refused.organization_id, refused.user_name),
            *(refused.api_key_prefix, refused.ip, refused.surface),
            *(count.times, count.first_at, count.last_at),
        )
        for (at, refused), count in counts.items()
    ]
    # In one order in every process: two that write the same rows never wait for each other.
    rows.sort(key=repr)
    with translate_outage(), connection.cursor() as cursor:
        cursor.executemany(ADD, rows)


_refusals: LoopLocal[Refusals] = LoopLocal(Refusals)
