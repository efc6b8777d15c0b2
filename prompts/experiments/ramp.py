"""How many units of a hundred take part, by the hours since the start."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from core.errors import InvalidRequest

MOST_STEPS = 20
LONGEST_HOURS = 24 * 365
LEAST_PERCENT = 0.01


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """From so many hours after the start, so many units of a hundred."""

    hours: Annotated[float, Meta(ge=0, le=LONGEST_HOURS)]
    percent: Annotated[float, Meta(ge=LEAST_PERCENT, le=100)]


Ramp = tuple[Step, ...]


def read_ramp(stored: Any) -> Ramp:
    """Return the steps; raise `InvalidRequest` unless they begin with the start and only grow."""
    try:
        ramp: Ramp = msgspec.convert(stored, Annotated[Ramp, Meta(max_length=MOST_STEPS)])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The ramp is wrong: {error}.", param="ramp") from None
    if ramp and ramp[0].hours != 0:
        raise InvalidRequest("The first step of the ramp is at hour 0.", param="ramp")
    if any(
        one.hours >= next_.hours or one.percent >= next_.percent for one, next_ in pairwise(ramp)
    ):
        raise InvalidRequest(
            "Each step of the ramp is later and higher than the last.", param="ramp"
        )
    return ramp


def percent_after(ramp: Sequence[Step], hours: float) -> float:
    """Return how many units of a hundred take part so many hours after the start."""
    reached = [step.percent for step in ramp if step.hours <= hours]
    if not ramp:
        return 100.0
    return reached[-1] if reached else 0.0
