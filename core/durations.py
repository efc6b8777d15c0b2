"""How long something takes, as a number and in words."""

import math
import time


def milliseconds_since(moment: float) -> int:
    """Return how long ago a moment of `time.monotonic` was."""
    return round((time.monotonic() - moment) * 1000)


def in_words(seconds: float) -> str:
    """Return a time in a unit that suits it, never too short: "12 seconds", "3 minutes"."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds > 2 * length:
            return f"{math.ceil(seconds / length)} {unit}s"
    whole = max(1, math.ceil(seconds))
    return "1 second" if whole == 1 else f"{whole} seconds"
