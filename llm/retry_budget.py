"""How many calls beyond the first a provider is sent, so that retries never become the outage.

Of the calls of the last ten seconds, a tenth may be retried or hedged, and ten more in any case:
a process with a few calls retries each as often as it likes, and only a busy one is held back. When
the budget is used up, a call that fails goes on to the next deployment, or fails.
"""

import time
from collections.abc import Callable

SHARE = 0.1
FLOOR = 10
SECONDS = 10


class RetryBudget:
    """One provider's budget in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = int(clock())
        self._calls = [0] * SECONDS
        self._extra = [0] * SECONDS

    def note_call(self) -> None:
        """Count a call that somebody has asked for."""
        self._calls[self._slot()] += 1

    def take(self) -> bool:
        """Count a further call, or return `False`: there is no room for it."""
        slot = self._slot()
        if sum(self._extra) + 1 > FLOOR + SHARE * sum(self._calls):
            return False
        self._extra[slot] += 1
        return True

    def _slot(self) -> int:
        second = int(self._clock())
        for passed in range(max(self._second, second - SECONDS) + 1, second + 1):
            self._calls[passed % SECONDS] = self._extra[passed % SECONDS] = 0
        self._second = second
        return second % SECONDS


_budgets: dict[str, RetryBudget] = {}


def of(provider: str) -> RetryBudget:
    """Return the provider's budget."""
    found = _budgets.get(provider)
    if found is None:
        found = _budgets[provider] = RetryBudget()
    return found


def forget() -> None:
    """Begin anew, for tests."""
    _budgets.clear()
