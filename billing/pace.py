"""How long the ledger lets entries gather before it books them together.

A batch has a fixed price, many times that of an entry. Where calls are frequent and last long, a
hold and a settlement may each wait for company, and nobody notices; where few come, or calls are
short, none waits.
"""

SHARE = 0.03  # of what a call takes, that its hold and its settlement may each wait at most
LONGEST = 0.02  # seconds
ENOUGH = 6  # entries that must be expected in that time
WEIGHT = 0.2  # of the newest figure in what is expected
FORGOTTEN = 1.0  # seconds without a batch, after which nothing is expected
SHORTEST = 1e-4  # seconds between two batches; closer ones are not told apart


class Pace:
    """Remembers how often entries come, and how long calls take."""

    def __init__(self) -> None:
        self._entries_a_second = 0.0
        self._call_seconds = 0.0
        self._booked_at = float("-inf")

    def booked(self, entries: int, now: float) -> None:
        """Note a batch, and the moment in seconds at which it is booked."""
        since, self._booked_at = now - self._booked_at, now
        if since > FORGOTTEN:
            self._entries_a_second = 0.0
        else:
            newest = entries / max(since, SHORTEST)
            self._entries_a_second += WEIGHT * (newest - self._entries_a_second)

    def took(self, call_seconds: float) -> None:
        """Note how long a call has taken."""
        self._call_seconds += WEIGHT * (call_seconds - self._call_seconds)

    def pause(self) -> float:
        """Return the seconds to wait before the next batch."""
        seconds = min(LONGEST, SHARE * self._call_seconds)
        return seconds if seconds * self._entries_a_second >= ENOUGH else 0.0
