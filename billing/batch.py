"""One batch of the ledger: what PostgreSQL is told, and what its answers mean to each caller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone

from billing import ledger_sql
from billing.calendar import Calendar, Definition
from billing.entries import Entry, Hold
from billing.ledger_sql import Missing, Overrun, Refused
from billing.opening import PeriodsMissing
from billing.periods import Period
from billing.refusals import explain

logger = structlog.get_logger(__name__)

Results = list[Exception | None]

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
        """Return for each entry nothing, or why it was refused.

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
        refusals = {answer.number: answer for answer in answers if isinstance(answer, Refused)}
        return self._outcomes(refusals)

    def _outcomes(self, refusals: Mapping[int, Refused]) -> Results:
        outcomes: Results = []
        number = 0
        for entry in self.entries:
            number += isinstance(entry, Hold)
            refused = refusals.get(number) if isinstance(entry, Hold) else None
            outcomes.append(None if refused is None else explain(refused, self.now))
        return outcomes

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
