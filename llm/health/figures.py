"""What is known of a deployment's last minutes, and percentiles without keeping every call."""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half_open"]

# Times fall into buckets whose upper bounds are 20% apart, from 1 ms to 20 minutes, so that counts
# of several processes can be added up; a percentile is within a tenth of the truth.
STEP = 1.2
BOUNDS_MS = tuple(STEP**exponent for exponent in range(78))

Histogram = Mapping[int, int]  # how many, by bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentHealth:
    """How a deployment is doing, as seen by all processes together."""

    state: State = "closed"  # of the breaker
    calls: int = 0  # of the last minute; stopped and refused ones do not count
    error_rate: float = 0.0  # of these, between 0 and 1
    p50_ttft_ms: float | None = None  # of the last five minutes; `None`: nobody called
    p95_ttft_ms: float | None = None
    running: int = 0  # calls at this moment


def bucket_of(milliseconds: float) -> int:
    """Return the bucket that a time falls into."""
    return min(bisect_left(BOUNDS_MS, milliseconds), len(BOUNDS_MS) - 1)


def percentile(histogram: Histogram, share: float) -> float | None:
    """Return the time in ms that `share` of all calls did not exceed; `None` without calls."""
    rank = share * sum(histogram.values())
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= rank:
            return BOUNDS_MS[bucket] / math.sqrt(STEP)  # the middle of the bucket
    return None
