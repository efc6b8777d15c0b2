"""Which periods are now: of each kind and time zone that budgets were seen to have.

It is arithmetic on the clock, so nothing of it goes stale; what kind and time zone a budget has is
read from the budget, in each batch's own transaction.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from billing.periods import Period, period_at


class Definition(NamedTuple):
    """What decides which period of a budget a moment lies in."""

    kind: str
    time_zone: str


class Calendar:
    """Remembers periods while they last."""

    def __init__(self) -> None:
        self._periods: dict[Definition, Period] = {}

    def at(self, now: datetime) -> Mapping[Definition, Period]:
        """Return the periods that `now` lies in, of the definitions met so far."""
        self._periods = {
            definition: period
            for definition, period in self._periods.items()
            if period.starts_at <= now and (period.ends_at is None or now < period.ends_at)
        }
        return self._periods

    def learn(self, definition: Definition, now: datetime) -> None:
        """Remember the period of a definition that has not been met yet."""
        period = period_at(now, kind=definition.kind, time_zone=definition.time_zone)
        self._periods = {**self._periods, definition: period}
