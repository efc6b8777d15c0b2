"""Intervals and p-values that stay valid while people look, and stop when they like what they see.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas ("Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 2024): around an
estimate from so many units with standard error s, the interval is s times `boundary(units)` to
either side, and the truth is in all the intervals of an experiment at once with probability
1 - alpha.
"""

import math
from dataclasses import dataclass

from prompts.statistics.differences import Estimate


@dataclass(frozen=True, slots=True)
class Interval:
    """All values that the data are compatible with."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def within(self, distance: float) -> bool:
        """Return whether nothing in it is as far from 0 as that."""
        return -distance < self.low and self.high < distance


@dataclass(frozen=True, slots=True)
class Confidence:
    """How certain to be (alpha: how often to be wrong), and at how many units to be tightest.

    Both are chosen before the start: an interval that is tuned to what was seen is not valid.
    """

    alpha: float = 0.05
    tightest_at: int = 5000  # units of both arms together

    def boundary(self, units: float, comparisons: int = 1) -> float:
        """Return how many standard errors the interval reaches (preprint of 2023, equation 9).

        With several comparisons: how many it takes until the strictest step of Holm is passed.
        """
        grown = units * self._rho_squared + 1
        doubt = math.log(comparisons / self.alpha)
        reach = 2 * grown / (grown - 1) * (math.log(grown) / 2 + doubt)
        return math.sqrt(reach)

    def interval(self, estimate: Estimate, units: int) -> Interval:
        """Return the interval around an estimate from so many units of both arms together."""
        reach = self.boundary(units) * math.sqrt(estimate.variance)
        return Interval(estimate.value - reach, estimate.value + reach)

    def relative_interval(self, estimate: Estimate, units: int) -> Interval:
        """Return the interval around a relative difference: as far by factor to either side.

        The delta method for the logarithm of the ratio (Katz et al. 1978, "Obtaining Confidence
        Intervals for the Risk Ratio"). Where control's figure is well known, it is the one around
        the difference itself; where it is not (a few errors), that one would reach below -100%,
        and hold "no difference" against fifteen times as many errors.
        """
        ratio = 1 + estimate.value
        if ratio <= 0:
            return self.interval(estimate, units)
        reach = self.boundary(units) * math.sqrt(estimate.variance) / ratio
        return Interval(ratio * _exp(-reach) - 1, ratio * _exp(reach) - 1)

    def p_value(self, estimate: Estimate, units: int) -> float:
        """Return the smallest alpha at which this sequence, tuned as it is, would exclude 0.

        It is 1 / e-value, and valid whenever somebody looks (equation 155).
        """
        if estimate.variance == 0:
            return 1.0 if estimate.value == 0 else 0.0
        grown = units * self._rho_squared + 1
        squared = estimate.value**2 / estimate.variance
        log_evidence = squared * (grown - 1) / grown / 2 - math.log(grown) / 2
        return math.exp(-max(log_evidence, 0.0))

    @property
    def _rho_squared(self) -> float:
        """The tuning that makes the interval tightest at `tightest_at` (equation 161)."""
        doubt = -2 * math.log(self.alpha)
        return (doubt + math.log(doubt + 1)) / self.tightest_at


def _exp(power: float) -> float:
    """Return e to the power, and for very large ones what a float holds at least."""
    return math.exp(min(power, 500.0))
