"""One batch of the ledger: what PostgreSQL is told, and what its answers mean to each caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone

from billing import ledger_sql
from billing.calendar import Calendar, Definition
from billing.entries import Entry, Hold
from billing.ledger_sql import Answer, Missing, Overrun, Refused, Room
from billing.opening import PeriodsMissing
from billing.periods import Period
from billing.refusals import explain

logger = structlog.get_logger(__name__)

# Of a hold what it leaves on its hard budgets; `None` where none applies, or nothing is known.
Results = list[Decimal | Exception | None]

_calendar = Calendar()


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that are booked together, at one moment."""

    entries: Sequence[Entry]
    now: datetime
    calendar: Mapping[Definition, Period]
    is_repeated: bool  # some of it may be in the books already

    @classmethod
    def of(cls, entries: Sequence[Entry], *, is_repeated: bool = False) -> "Batch":
        """Return the batch that these entries are now."""
        now = timezone.now()
        return cls(entries, now, _calendar.at(now), is_repeated)

    @property
    def parameters(self) -> list[Any]:
        """What `ledger_sql.BOOK` is executed with."""
        lease_expires_at = self.now + timedelta(seconds=settings.LEASE_SECONDS)
        return ledger_sql.parameters(
            *(self.entries, self.calendar, self.now, lease_expires_at), is_repeated=self.is_repeated
        )

    def results(self, rows: Sequence[Sequence[Any]]) -> Results:
        """Return of each hold what it leaves, and of what was refused why.

        Raises `PeriodsMissing` where nothing was booked because a period has to be opened first.
        """
        if not rows:
            return [None] * len(self.entries)
        answers = ledger_sql.answers(rows)
        missing = [answer for answer in answers if isinstance(answer, Missing)]
        if missing:
            raise PeriodsMissing(self._unopened(missing))
        for answer in answers:
            if isinstance(answer, Overrun):
                usage_id, cost_usd = str(answer.usage_id), str(answer.cost_usd)
                logger.warning("billing.overrun", usage_id=usage_id, cost_usd=cost_usd)
        return self._outcomes(answers)

    def _outcomes(self, answers: Sequence[Answer]) -> Results:
        rooms = next((answer.left_usd for answer in answers if isinstance(answer, Room)), ())
        of_holds: dict[int, Decimal | Exception | None] = dict(enumerate(rooms, start=1))
        for answer in answers:
            if isinstance(answer, Refused):
                of_holds[answer.number] = explain(answer, self.now)
        numbers = count(1)
        return [
            of_holds.get(next(numbers)) if isinstance(entry, Hold) else None
            for entry in self.entries
        ]

    def _unopened(self, missing: Sequence[Missing]) -> dict[int, Period]:
        """Return the periods to open; where PostgreSQL was not told which it is, learn it."""
        unopened = {}
        for one in missing:
            definition = Definition(one.kind, one.time_zone)
            if definition in self.calendar:
                unopened[one.budget_id] = self.calendar[definition]
            else:
                _calendar.learn(definition, self.now)
        return unopened
