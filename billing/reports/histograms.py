"""Times as counts in fixed buckets: they add up over hours, users and models, as quantiles do not.

Each bucket ends at √2 times where it begins. A quantile is placed within the bucket that it lies
in, so it is never further off than by that factor (41%).
"""

from collections.abc import Sequence
from itertools import accumulate

# Milliseconds: under 10, 32 steps of √2 up to 7.7 minutes, and above.
BOUNDS_MS: tuple[float, ...] = tuple(round(10 * 2 ** (step / 2), 3) for step in range(32))
SIZE = len(BOUNDS_MS) + 1


def quantile_ms(counts: Sequence[int], share: float) -> int | None:
    """Return the time that `share` (0 to 1) of the attempts did not exceed; None without any."""
    total = sum(counts)
    if total == 0:
        return None
    rank = share * total
    for bucket, reached in enumerate(accumulate(counts)):
        if counts[bucket] and reached >= rank:
            within = 1 - (reached - rank) / counts[bucket]
            return round(_between(bucket, within))
    raise AssertionError("some bucket reaches the total")


def _between(bucket: int, within: float) -> float:
    """Return the time at a part (0 to 1) of a bucket, on the scale that the bounds have."""
    if bucket == 0:
        return BOUNDS_MS[0] * within
    lower = BOUNDS_MS[bucket - 1]
    if bucket == len(BOUNDS_MS):  # it has no end: at least this long
        return lower
    return float(lower * (BOUNDS_MS[bucket] / lower) ** within)
