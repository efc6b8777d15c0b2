"""How far an arm is from control: the difference, also relative, and the variance of both."""

from dataclasses import dataclass

from prompts.statistics.sums import Sums


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its variance."""

    value: float
    variance: float


def absolute(control: Sums, arm: Sums) -> Estimate | None:
    """Return arm minus control, or None where one of them has counted nothing."""
    if control.ratio is None or arm.ratio is None:
        return None
    pooled = control + arm
    variance = variance_of(control, pooled) + variance_of(arm, pooled)
    return Estimate(arm.ratio - control.ratio, variance)


def relative(control: Sums, arm: Sums) -> Estimate | None:
    """Return the difference as a share of control, or None where control is 0 or unknown.

    The delta method for a ratio of two independent means (Deng, Knoblich and Lu 2018, section 2.2).
    """
    if not control.ratio or arm.ratio is None:
        return None
    pooled = control + arm
    quotient = arm.ratio / control.ratio
    spread = variance_of(arm, pooled) + quotient**2 * variance_of(control, pooled)
    return Estimate(quotient - 1, spread / control.ratio**2)


def variance_of(arm: Sums, pooled: Sums) -> float:
    """Return the variance of an arm's ratio, never less than what the data can tell.

    An arm without any variation (no error yet) knows nothing of its own and takes that of both
    arms together, as the test of two proportions does under "no difference". So does an arm with
    less than half of the other's units, if its own is smaller: few units of a skewed metric seldom
    hold one of the large ones, and then understate both the mean and the variance. Without this,
    one in ten A/A experiments with arms of 90% and 10% raised a false alarm.
    """
    own = arm.unit_variance
    if own == 0 or 3 * arm.units < pooled.units:
        own = max(own, pooled.unit_variance)
    return own / arm.units
