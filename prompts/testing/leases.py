"""Which worker goes on with a run, and what it writes; all sync, each one statement or transaction.

Whoever works on a run holds it until a moment that it moves on again and again; that moment is also
what tells holders apart. When the holder dies, the moment passes, and another worker takes over.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from core.database import translate_outage
from prompts.models import Case, CaseResult, DatasetRun, RunState
from prompts.testing.costs import Spent

OPEN = (RunState.WAITING, RunState.RUNNING)


def claim() -> DatasetRun | None:
    """Return the oldest run that nobody works on, held from now on; `None`: there is none."""
    with translate_outage(), transaction.atomic():
        found = (
            DatasetRun.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("dataset__prompt__organization", "created_by")
            .filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=timezone.now()))
            .filter(state__in=OPEN)
            .order_by("created_at", "pk")
            .first()
        )
        if found is not None:
            take(found)
        return found


def take(run: DatasetRun) -> None:
    """Begin to hold a run that nobody else can take meanwhile."""
    run.state, run.lease_expires_at = RunState.RUNNING, _expiry()
    run.started_at = run.started_at or timezone.now()
    run.save(update_fields=["state", "lease_expires_at", "started_at"])


def renew(run: DatasetRun) -> bool:
    """Return whether the holder is to go on: nobody has cancelled or taken the run."""
    expiry = _expiry()
    with translate_outage():
        is_held = bool(_held(run).update(lease_expires_at=expiry))
    if is_held:
        run.lease_expires_at = expiry
    return is_held


def release(run: DatasetRun) -> None:
    """Let another worker go on with the run at once."""
    with translate_outage():
        _held(run).update(lease_expires_at=None)


def save(result: CaseResult, spent: Spent, *, total_usd: Decimal) -> None:
    """Write a result with its cost, unless there is one already, and what the run has cost."""
    result.cost_usd = spent.known_usd
    with translate_outage(), transaction.atomic():
        # Whoever deletes the case at this moment waits; the result of a deleted one is kept.
        if not Case.objects.select_for_update(no_key=True).filter(pk__in=[result.case_id]).exists():
            result.case = None
        CaseResult.objects.bulk_create([result], ignore_conflicts=True)
        DatasetRun.objects.filter(pk=result.run_id).update(spent_usd=total_usd)


def spend(run: DatasetRun, spent: Spent) -> None:
    """Write down what all of the run has cost, also of one that was cancelled."""
    with translate_outage():
        DatasetRun.objects.filter(pk=run.pk).update(spent_usd=spent.usd)


def finish(run: DatasetRun, state: RunState, why: str = "") -> None:
    """End a run that is still held; one that was cancelled stays so."""
    with translate_outage():
        _held(run).update(
            state=state, failure=why[:300], ended_at=timezone.now(), lease_expires_at=None
        )


def _held(run: DatasetRun) -> QuerySet[DatasetRun]:
    return DatasetRun.objects.filter(
        pk=run.pk, state=RunState.RUNNING, lease_expires_at=run.lease_expires_at
    )


def _expiry() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
