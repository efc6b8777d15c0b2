"""Whether units came to the arms as planned. If not, something loses them, and no figure is fair.

(Fabijan et al. 2019, "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments".)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prompts.statistics import distributions

ALARM = 0.001
FEWEST_EXPECTED = 5  # units of an arm: below, chi-square is no good approximation (Cochran 1954)


@dataclass(frozen=True, slots=True)
class Period:
    """A time with the same weights: the units that were first seen in it, by arm, and the weights.

    A ramp is several periods. A unit belongs to the period in which it was first seen.
    """

    units: tuple[int, ...]
    weights: tuple[float, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        total = sum(self.weights)
        return tuple(weight / total if total else 0.0 for weight in self.weights)

    @property
    def expected(self) -> tuple[float, ...]:
        return tuple(share * sum(self.units) for share in self.shares)


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The units of each arm, those expected, and how likely chance makes such a difference."""

    units: tuple[int, ...]
    expected: tuple[float, ...]
    p_value: float | None  # None: too few units to tell
    # The same question, asked so that one may look as often as one likes. It needs more units.
    p_value_any_time: float

    @property
    def is_alarm(self) -> bool:
        """Whether to distrust the experiment.

        The chi-square test is made for one look. Looked at again and again, it raises a false
        alarm in more than one of a thousand experiments (in docs/experiments.md is how many), which
        is few enough: at 0.05 it would be most of them.
        """
        return self.p_value is not None and self.p_value < ALARM


def sample_ratio(periods: Sequence[Period]) -> SampleRatio:
    """Compare the units of each arm with those that the weights of each period let expect."""
    units = tuple(map(sum, zip(*(period.units for period in periods), strict=True)))
    expected = tuple(map(sum, zip(*(period.expected for period in periods), strict=True)))
    evidence = sum(map(_log_evidence, periods))
    return SampleRatio(
        units=units,
        expected=expected,
        p_value=_chi_square(units, expected),
        p_value_any_time=math.exp(-max(evidence, 0.0)),
    )


def _chi_square(units: Sequence[int], expected: Sequence[float]) -> float | None:
    """Return the p-value of Pearson's chi-square test (1900), None where it cannot be made.

    With weights that changed it errs on the quiet side: the counts of several periods vary a
    little less than those of one period with the average weights.
    """
    if any(found and not awaited for found, awaited in zip(units, expected, strict=True)):
        return 0.0  # an arm that nobody should have come to
    pairs = [pair for pair in zip(units, expected, strict=True) if pair[1] > 0]
    if len(pairs) < 2 or min(awaited for _, awaited in pairs) < FEWEST_EXPECTED:
        return None
    distance = sum((found - awaited) ** 2 / awaited for found, awaited in pairs)
    return distributions.chi_square_tail(distance, len(pairs) - 1)


def _log_evidence(period: Period) -> float:
    """Return the logarithm of the e-value against the period's weights.

    The sequential multinomial test of Lindon and Malek (2022, "Anytime-Valid Inference for
    Multinomial Count Data") with a uniform prior. Periods are independent: their evidence adds up.
    """
    pairs = zip(period.units, period.shares, strict=True)
    open_arms = [(found, share) for found, share in pairs if share > 0]
    if sum(period.units) > sum(found for found, _ in open_arms):
        return math.inf
    if len(open_arms) < 2:
        return 0.0
    prior = distributions.log_beta(tuple(1.0 for _ in open_arms))
    posterior = distributions.log_beta(tuple(1.0 + found for found, _ in open_arms))
    return posterior - prior - sum(found * math.log(share) for found, share in open_arms)
