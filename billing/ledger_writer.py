"""One batch of the ledger, one transaction: the only code that changes the books.

Order of locks, the same in every process: organizations (advisory, shared), usage records, periods
by their id. What was settled is known from the rows that changed from `started` to `settled`, so
nothing is booked twice.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    InternalError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.utils import timezone

from billing import ledger_sql, opening
from billing.admission import Admission
from billing.entries import Attempt, Entry, Hit, Hold, Renewal, Settle
from billing.errors import BudgetExceeded, CommitUnknown
from billing.opening import PeriodsMissing
from billing.periods import Period
from core.database import AWAY
from core.errors import DependencyDown

logger = structlog.get_logger(__name__)

Results = list[Exception | None]
TRIES = 3  # a period may have to be opened, and a connection have been cut meanwhile
CONNECTION_OPTIONS = {
    # A batch has few statements. Planned once, they take half of PostgreSQL's time for a small one.
    "server_side_binding": True,
    "prepare_threshold": 3,
    # A network that swallows packets must not hold the books up. Seconds; the last in milliseconds.
    "connect_timeout": 2,
    "keepalives_idle": 10,
    "tcp_user_timeout": 10_000,
}


def write(entries: Sequence[Entry], *, may_be_written: bool = False) -> Results:
    """Book a batch; return for each entry nothing, or why it was refused."""
    missing: Mapping[int, Period] = {}
    for _ in range(TRIES):
        is_committing = False
        try:
            if missing:
                opening.open_periods(missing)
            with transaction.atomic():
                results = _book(entries, may_be_written=may_be_written)
                is_committing = True
            return results
        except PeriodsMissing as error:
            missing = error.periods
        except (OperationalError, InterfaceError, InternalError) as error:
            logger.warning("billing.batch_lost", error=type(error.__cause__ or error).__name__)
            connection.close()
            may_be_written |= is_committing
        except Exception as error:  # the edge of the writer thread: a bad entry fails alone
            return _write_one_by_one(entries, error, may_be_written=may_be_written)
    down = CommitUnknown if may_be_written else DependencyDown
    return [down(AWAY) for _ in entries]


def use_own_connection() -> None:
    """Give this thread a connection of its own: kept, and never waited for as one of a pool is."""
    own = connection.copy(DEFAULT_DB_ALIAS)
    own.settings_dict["OPTIONS"].pop("pool", None)
    own.settings_dict["OPTIONS"] = {**CONNECTION_OPTIONS, **own.settings_dict["OPTIONS"]}
    connections[DEFAULT_DB_ALIAS] = own


def close() -> None:
    """Close this thread's connection."""
    connection.close()


def _write_one_by_one(
    entries: Sequence[Entry], error: Exception, *, may_be_written: bool
) -> Results:
    if len(entries) == 1:
        logger.error("billing.entry_refused", exc_info=error)
        return [error]
    return [result for entry in entries for result in write([entry], may_be_written=may_be_written)]


def _book(entries: Sequence[Entry], *, may_be_written: bool) -> Results:
    holds = [entry for entry in entries if isinstance(entry, Hold)]
    hits = [entry for entry in entries if isinstance(entry, Hit)]
    renewals = [entry for entry in entries if isinstance(entry, Renewal)]
    settlements = [entry.settlement for entry in entries if isinstance(entry, Settle | Hit)]
    organization_ids = {hold.attempt.principal.organization_id for hold in holds}
    ledger_sql.begin(organization_ids, is_durable=bool(settlements))
    if may_be_written:
        known = ledger_sql.known_ids([hold.attempt.id for hold in holds])
        known |= ledger_sql.known_ids([hit.attempt.id for hit in hits])
        holds = [hold for hold in holds if hold.attempt.id not in known]
        hits = [hit for hit in hits if hit.attempt.id not in known]
    now = timezone.now()
    lease_expires_at = now + timedelta(seconds=settings.LEASE_SECONDS)

    ledger_sql.insert([(hit.attempt, ()) for hit in hits], now, lease_expires_at)
    settled = ledger_sql.settle(settlements)
    ledger_sql.renew(renewals, lease_expires_at)

    admission = Admission.begin([hold.attempt for hold in holds], settled, now)
    for row in settled:
        admission.settle(row)
    admitted, refusals = _admit(holds, admission)
    ledger_sql.insert(admitted, now, lease_expires_at)
    admission.save()
    return [refusals.get(id(entry)) for entry in entries]


def _admit(
    holds: Sequence[Hold], admission: Admission
) -> tuple[list[tuple[Attempt, list[int]]], dict[int, BudgetExceeded]]:
    """Admit in the order of arrival; return who was, and why the others were not."""
    admitted: list[tuple[Attempt, list[int]]] = []
    refusals: dict[int, BudgetExceeded] = {}
    for hold in holds:
        try:
            admitted.append((hold.attempt, admission.admit(hold.attempt)))
        except BudgetExceeded as refusal:
            refusals[id(hold)] = refusal
    return admitted, refusals
