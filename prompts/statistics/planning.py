"""How many units it takes: before the start, and from where it stands."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from prompts.statistics import distributions
from prompts.statistics.comparison import Comparison, Design, State
from prompts.statistics.confidence import Confidence
from prompts.statistics.sums import Sums

CONFIDENCE = Confidence()
MOST_LOGARITHMS = 60.0  # what squares of boundaries stay below
FARTHEST = 100.0  # times the units of today: beyond, nobody can say


@dataclass(frozen=True, slots=True)
class Sizes:
    """Units of control and of one arm."""

    control: int
    arm: int

    @property
    def total(self) -> int:
        return self.control + self.arm


@dataclass(frozen=True, slots=True)
class Needed:
    """Units that show the difference with the wanted power."""

    looked_at_once: Sizes  # by a test that allows one look, at the end
    watched: Sizes  # by the interval that allows any


def units_needed(
    baseline: Sums,
    *,
    smallest: float,
    confidence: Confidence = CONFIDENCE,
    power: float = 0.8,
    arm_share: float = 0.5,
    comparisons: int = 1,
) -> Needed | None:
    """Return the units needed to see a difference of `smallest` (a share of the baseline).

    None where the baseline says nothing of the metric. `arm_share` is the arm's share of its units
    and control's together; with several arms, `comparisons` is how many Holm goes over.
    (Cohen 1988, "Statistical Power Analysis", on two means; the boundary takes the place of the
    normal quantile for the interval that may be watched. There the arm is taken to be the one with
    the larger figures, which vary more, by as much as they are larger.)
    """
    if not baseline.ratio or not baseline.unit_variance or not smallest:
        return None
    spread = baseline.unit_variance * (1 / arm_share + 1 / (1 - arm_share))
    each = spread / (baseline.ratio * smallest) ** 2
    enough = distributions.normal_quantile(power)
    once = distributions.normal_quantile(1 - confidence.alpha / comparisons / 2)
    larger = (1 + (1 + abs(smallest)) ** 2) / 2
    return Needed(
        looked_at_once=_split(each * (once + enough) ** 2, arm_share),
        watched=_split(_watched(each * larger, enough, confidence, comparisons), arm_share),
    )


def _watched(each: float, enough: float, confidence: Confidence, comparisons: int) -> float:
    """Return the units from which on the boundary and what the power asks for are enough."""

    def missing(size: float) -> float:
        """Return how many are missing (a ratio, as a logarithm) at so many units (logarithm)."""
        reach = confidence.boundary(max(math.exp(size), 2.0), comparisons)
        return math.log(each) + 2 * math.log(reach + enough) - size

    low = math.log(each)
    return math.exp(distributions.root(missing, low, low + MOST_LOGARITHMS))


def more_units(comparison: Comparison, design: Design, comparisons: int = 1) -> int | None:
    """Return how many more units make it certain, if things go on as they are.

    Certain is that there is a difference, or that there is none that matters, whichever comes
    first. None where nobody can say: there is too little data, or it is too far away.
    """
    if comparison.state is not State.READY:
        return None
    waits = [_until_different(comparison, design, comparisons), _until_alike(comparison, design)]
    return min((wait for wait in waits if wait is not None), default=None)


def _until_different(comparison: Comparison, design: Design, comparisons: int) -> int | None:
    """Return the units until both intervals exclude 0."""
    waits = [
        _wait(
            deviation,
            room,
            units=comparison.units,
            confidence=design.confidence,
            comparisons=comparisons,
        )
        for deviation, room in _distances(comparison)
    ]
    known = [wait for wait in waits if wait is not None]
    return max(known) if known and len(known) == len(waits) else None


def _distances(comparison: Comparison) -> Iterator[tuple[float, float]]:
    """Yield the standard deviation of each finding and how far it is from 0, as it is drawn."""
    if comparison.difference:
        estimate = comparison.difference.estimate
        yield math.sqrt(estimate.variance), abs(estimate.value)
    if comparison.relative and comparison.relative.estimate.value > -1:
        estimate = comparison.relative.estimate
        ratio = 1 + estimate.value
        yield math.sqrt(estimate.variance) / ratio, abs(math.log(ratio))


def _until_alike(comparison: Comparison, design: Design) -> int | None:
    """Return the units until any difference that matters is excluded."""
    finding = comparison.relative
    if finding is None or finding.estimate.value <= -1:
        return None
    ratio, smallest = 1 + finding.estimate.value, design.smallest(comparison.metric)
    room = math.log((1 + smallest) / ratio)
    if smallest < 1:
        room = min(room, math.log(ratio / (1 - smallest)))
    deviation = math.sqrt(finding.estimate.variance) / ratio
    return _wait(deviation, room, units=comparison.units, confidence=design.confidence)


def _wait(
    deviation: float, room: float, *, units: int, confidence: Confidence, comparisons: int = 1
) -> int | None:
    """Return the units until the interval reaches no farther than `room`."""
    if room <= 0:
        return None

    def excess(growth: float) -> float:
        """Return how far the interval reaches beyond, with so many times the units (logarithm)."""
        reach = confidence.boundary(units * math.exp(growth), comparisons)
        return reach * deviation * math.exp(-growth / 2) - room

    farthest = math.log(FARTHEST)
    if excess(0) <= 0:
        return 0
    if excess(farthest) > 0:
        return None
    return math.ceil(units * math.expm1(distributions.root(excess, 0, farthest)))


def _split(total: float, arm_share: float) -> Sizes:
    return Sizes(control=math.ceil(total * (1 - arm_share)), arm=math.ceil(total * arm_share))
