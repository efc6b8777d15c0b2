"""One batch of the ledger, one transaction: the only code that changes the books.

The transaction itself is in PostgreSQL (`billing.ledger_sql`); here is what becomes of its answer,
and what is done when there is none.
"""

from collections.abc import Mapping, Sequence

import structlog
from django.db import (
    DEFAULT_DB_ALIAS,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    connection,
    connections,
)

from billing import opening
from billing.batch import Batch, Results
from billing.entries import Entry
from billing.errors import CommitUnknown
from billing.ledger_line import PATIENCE
from billing.ledger_sql import BOOK
from billing.opening import PeriodsMissing
from billing.periods import Period
from core.database import AWAY
from core.errors import DependencyDown

logger = structlog.get_logger(__name__)

TRIES = 4  # learn which period it is, open it, and a connection may have been cut meanwhile
CONNECTION_OPTIONS = {
    # A batch has few statements. Planned once, they take half of PostgreSQL's time for a small one.
    "server_side_binding": True,
    "prepare_threshold": 3,
    **PATIENCE,
}


def write(entries: Sequence[Entry], *, may_be_written: bool = False) -> Results:
    """Book a batch; return of each hold what it leaves, and of what was refused why."""
    missing: Mapping[int, Period] = {}
    for _ in range(TRIES):
        is_asked = False
        try:
            connection.ensure_connection()
            if missing:
                opening.open_periods(missing)
            is_asked = True
            with connection.cursor() as cursor:
                batch = Batch.of(entries, is_repeated=may_be_written)
                cursor.execute(BOOK, batch.parameters)
                return batch.results(cursor.fetchall())
        except PeriodsMissing as error:
            missing = error.periods
        except (OperationalError, InterfaceError, InternalError) as error:
            logger.warning("billing.batch_lost", error=type(error.__cause__ or error).__name__)
            connection.close()
            may_be_written |= is_asked  # what is repeated is booked once
        except IntegrityError as error:
            if may_be_written:
                return _write_one_by_one(entries, error, may_be_written=True)
            may_be_written = True  # perhaps it is in the books already
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
