"""What a counter says: how much is left of a limit, and when more of it is there."""

import math
from typing import Literal

from msgspec import Struct

from llm.limits.rules import Rule

Figure = Literal["requests", "tokens", "parallel"]
Kind = Literal["window", "counter", "lease"]

# The library's moving window is exact and keeps an entry for each unit: for tokens that would be 18
# bytes of Redis each, and 2 to 5 ms for a call of 5,000. Tokens, and requests where a limit allows
# more than this, are counted in its sliding window counter: two numbers, whatever the amount.
# That takes what was used in the last whole window as spread evenly over it.
LONGEST_WINDOW = 1_000  # entries

SOON = 1.0  # seconds until a caller with too many calls at once may look whether one has ended


class Want(Struct, frozen=True):
    """What a call takes of one counter."""

    rule: Rule
    figure: Figure
    kind: Kind
    key: str
    limit: int
    seconds: int  # of the window, or of the lease
    amount: int = 1


class Seen(Struct, frozen=True, array_like=True):
    """A counter as it stood after a call, in the words of its kind.

    A window: used, seconds until its oldest entry leaves, seconds until one more fits.
    A counter: used in the last whole window and how long that counts, used in this one and how long
    that is kept, when that will be (Redis's clock).
    A lease: calls that are running.
    """

    is_taken: bool
    a: float
    b: float = 0
    c: float = 0
    d: float = 0
    e: float = 0


class Correction(Struct, frozen=True):
    """Tokens that a call has taken beside its estimate: more (above 0) or fewer (below)."""

    want: Want
    tokens: int
    ends_at: float  # of the window that the estimate was put into: `Seen.e`


def remaining(want: Want, seen: Seen) -> int:
    """Return how much of the limit is left."""
    used = seen.a if want.kind != "counter" else _weighted(want, seen)
    return max(0, want.limit - int(used))


def reset(want: Want, seen: Seen) -> float:
    """Return the seconds until there is more left than now; 0 if nothing is used."""
    if want.kind == "window":
        return max(0.0, seen.b)
    if seen.a and seen.b:  # the last window fades evenly
        return min(seen.b, want.seconds / seen.a)
    return max(0.0, seen.d - want.seconds) + want.seconds / seen.c if seen.c else 0.0


def wait(want: Want, seen: Seen) -> float | None:
    """Return the seconds until what was refused fits if nobody else asks; `None`: it never does."""
    if want.amount > want.limit:
        return None
    if want.kind == "lease":
        return SOON
    return seen.c if want.kind == "window" else _wait_for_counter(want, seen)


def _weighted(want: Want, seen: Seen) -> int:
    return math.floor(seen.a * seen.b / want.seconds) + int(seen.c)


def _wait_for_counter(want: Want, seen: Seen) -> float:
    room = want.limit - want.amount
    if seen.c <= room:  # it fits when enough of the last window has faded
        return max(0.0, seen.b - (room - seen.c) * want.seconds / seen.a) if seen.a else 0.0
    until_next = max(0.0, seen.d - want.seconds)
    return until_next + want.seconds * (1 - room / seen.c)
