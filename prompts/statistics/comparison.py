"""Arms against control, metric by metric: what is known, and how certainly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from prompts.statistics import differences, holm
from prompts.statistics.confidence import Confidence, Interval
from prompts.statistics.differences import Estimate
from prompts.statistics.metrics import Better, Metric
from prompts.statistics.sums import Sums

# The intervals rest on the central limit theorem, which needs some units to work: so many of each
# arm, and as much as so many that weigh alike. Below, no interval is better than a bad one.
FEWEST_UNITS = 30
FEWEST_ALIKE = 20


class State(StrEnum):
    """What can be said of an arm and a metric at all."""

    READY = "ready"
    TOO_FEW = "too_few"  # not enough data yet
    SAME = "same"  # every unit of both arms has the same value (no error anywhere)


@dataclass(frozen=True, slots=True)
class Arm:
    """A name, and the sums of its units for each metric that has any."""

    name: str
    sums: Mapping[str, Sums]


@dataclass(frozen=True, slots=True)
class Design:
    """What is decided before the start, because it is not honest to decide it afterwards."""

    primary: Metric
    secondary: tuple[Metric, ...] = ()
    guardrails: frozenset[str] = frozenset()  # names of secondary metrics that must not get worse
    worth_seeing: float = 0.05  # of the primary metric: the smallest change that matters
    confidence: Confidence = field(default_factory=Confidence)
    unit: str = "conversations"  # several of them

    def smallest(self, metric: Metric) -> float:
        """Return the smallest change of a metric that matters, as a share of control."""
        return self.worth_seeing if metric == self.primary else metric.tolerance


@dataclass(frozen=True, slots=True)
class Finding:
    """An estimate and the interval around it."""

    estimate: Estimate
    interval: Interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """One arm against control by one metric."""

    metric: Metric
    arm: str
    state: State
    units: int  # of both arms together
    control_value: float | None
    arm_value: float | None
    difference: Finding | None = None
    relative: Finding | None = None  # None also where control is 0
    p_value: float = 1.0  # valid whenever somebody looks
    adjusted_p_value: float = 1.0  # the same, after Holm
    is_certain: bool = False  # it differs from control, also after Holm

    @property
    def excludes_zero(self) -> bool:
        """Whether no interval that is shown holds "no difference"."""
        findings = [finding for finding in (self.difference, self.relative) if finding]
        return bool(findings) and all(finding.interval.excludes_zero for finding in findings)

    @property
    def is_good(self) -> bool | None:
        """Whether the difference goes the good way; None where no difference is known."""
        if self.difference is None:
            return None
        return (self.difference.estimate.value > 0) == (self.metric.better is Better.HIGHER)


def compare(design: Design, control: Arm, arms: Sequence[Arm]) -> tuple[Comparison, ...]:
    """Compare each arm with control: by the primary metric first, then by the secondary ones.

    Holm goes over the arms for the primary metric, and over arms and metrics for the secondary.
    What has too little data counts among the questions asked, so that it may come in later.
    """

    def family(metrics: Sequence[Metric]) -> list[Comparison]:
        found = [
            compare_arm(metric, design.confidence, control, arm)
            for metric in metrics
            for arm in arms
        ]
        return _after_holm(found, design.confidence.alpha)

    return (*family([design.primary]), *family(design.secondary))


def compare_arm(metric: Metric, confidence: Confidence, control: Arm, arm: Arm) -> Comparison:
    """Compare one arm with control by one metric."""
    ours, theirs = control.sums.get(metric.name, NOTHING), arm.sums.get(metric.name, NOTHING)
    units = ours.units + theirs.units
    state = state_of(metric, ours, theirs)
    comparison = Comparison(metric, arm.name, state, units, ours.ratio, theirs.ratio)
    difference = differences.absolute(ours, theirs)
    if state is not State.READY or difference is None:
        return comparison
    relative = differences.relative(ours, theirs)
    return replace(
        comparison,
        difference=Finding(difference, confidence.interval(difference, units)),
        relative=(
            Finding(relative, confidence.relative_interval(relative, units)) if relative else None
        ),
        p_value=confidence.p_value(difference, units),
    )


NOTHING = Sums(units=0, y=0.0, yy=0.0, x=0.0, xx=0.0, xy=0.0)


def state_of(metric: Metric, control: Sums, arm: Sums) -> State:
    """Return whether there is enough to compare, by rules that do not look at the difference.

    They look at both arms together: if one unit carries most of everything, or a share has hardly
    happened (or hardly not happened), many units say as little as a few.
    """
    pooled = control + arm
    fewest = min(control.units, arm.units)
    if control.ratio is None or arm.ratio is None or fewest < FEWEST_UNITS:
        return State.TOO_FEW
    if pooled.unit_variance == 0:
        return State.SAME
    evenness = [pooled.evenness_of_x, pooled.evenness_of_y]
    if metric.is_share:
        evenness.append(pooled.remainder.evenness_of_y)
    return State.READY if fewest * min(evenness) >= FEWEST_ALIKE else State.TOO_FEW


def _after_holm(found: Sequence[Comparison], alpha: float) -> list[Comparison]:
    """Return the comparisons with what Holm makes of their p-values."""
    p_values = holm.adjusted([comparison.p_value for comparison in found])
    return [
        replace(
            comparison,
            adjusted_p_value=p_value,
            is_certain=comparison.excludes_zero and p_value <= alpha,
        )
        for comparison, p_value in zip(found, p_values, strict=True)
    ]
