"""Every decision is recorded, behind the back of the call: which rule, what kind, how often."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DataError, IntegrityError
from django.utils import timezone

from core.batching import Batcher
from core.database import translate_outage
from core.errors import DependencyDown
from core.loop_local import LoopLocal
from llm.guardrails.findings import Way
from llm.guardrails.rules import Rule
from llm.models import GuardrailDecision
from llm.models.guardrails import Action
from llm.types import Call

logger = structlog.get_logger(__name__)

MOST_WAITING = 20_000  # rows that wait for PostgreSQL at most, some 20 MB
OUTAGE_PAUSE = 1.0  # seconds between two tries to write
CLOSE_SECONDS = 5.0
AT_ONCE = 5_000  # rows that are removed in one statement

Found = Counter[tuple[Rule, str]]  # how often a rule has found a kind


def note(call: Call, found: Found, way: Way) -> None:
    """Log what was found in a call and have it written soon; it takes no time and never fails."""
    for (rule, kind), count in found.items():
        told = logger.warning if rule.action == Action.BLOCK else logger.info
        told(
            "llm.guardrail",
            request_id=call.request_id,
            rule=rule.name,
            check=rule.check_name,
            kind=kind,
            direction=way,
            action=rule.action,
            count=count,
        )
    _writers.get().add([_row(call, rule, kind, way, n) for (rule, kind), n in found.items()])


async def close() -> None:
    """Return when this loop's decisions are written, or PostgreSQL has been away too long."""
    writer = _writers.pop()
    if writer is not None:
        await writer.close()


def remove_old() -> int:
    """Remove decisions that are older than staff want to keep them; return how many."""
    before = timezone.now() - timedelta(days=settings.GUARDRAIL_DAYS)
    old = GuardrailDecision.objects.filter(decided_at__lt=before)
    total = 0
    while ids := list(old.order_by("decided_at").values_list("pk", flat=True)[:AT_ONCE]):
        total += GuardrailDecision.objects.filter(pk__in=ids).delete()[0]
    return total


class _Writer:
    """Writes rows in batches, and again where PostgreSQL was away."""

    def __init__(self) -> None:
        self._batcher: Batcher[GuardrailDecision, None] = Batcher(self._write)
        self._waiting = 0
        self._lost = 0

    def add(self, rows: Iterable[GuardrailDecision]) -> None:
        for row in rows:
            if self._waiting >= MOST_WAITING:
                self._lost += 1
                continue
            self._waiting += 1
            self._batcher.enqueue(row)

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._batcher.drain()
        if self._waiting or self._lost:
            logger.error("llm.guardrail_unrecorded", count=self._waiting + self._lost)

    async def _write(self, rows: Sequence[GuardrailDecision]) -> Sequence[None]:
        """Write the rows, however long it takes; what cannot be written at all is told."""
        while True:
            try:
                await sync_to_async(_insert, thread_sensitive=False)(rows)
                break
            except DependencyDown:
                await asyncio.sleep(OUTAGE_PAUSE)
        self._waiting -= len(rows)
        return [None] * len(rows)


def _insert(rows: Sequence[GuardrailDecision]) -> None:
    with translate_outage():
        try:
            # A batch whose commit got lost on the way is written again: its ids are known then.
            GuardrailDecision.objects.bulk_create(rows, ignore_conflicts=True)
        except (IntegrityError, DataError) as error:
            if len(rows) == 1:
                logger.warning("llm.guardrail_unrecorded", count=1, error=type(error).__name__)
                return
            # One of them is of an organization that has just been removed, say: not all may suffer.
            for row in rows:
                _insert([row])


def _row(call: Call, rule: Rule, kind: str, way: Way, count: int) -> GuardrailDecision:
    return GuardrailDecision(
        decided_at=timezone.now(),
        organization_id=call.principal.organization_id,
        user_name=call.principal.user_name[:150],
        api_key_prefix=call.principal.api_key_prefix[:16],
        surface=call.surface[:20],
        request_id=call.request_id[:128],
        prompt_name=call.prompt.name[:100] if call.prompt else "",
        rule_name=rule.name,
        check_name=rule.check_name,
        kind=kind[:40],
        direction=way,
        action=rule.action,
        count=count,
    )


_writers = LoopLocal(_Writer)
