"""What came of an experiment so far: figures, differences to control, and a verdict in words."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.utils import timezone
from msgspec import Struct

from prompts.experiments.design import design_of
from prompts.experiments.figures import Figures, figures_of, split_of
from prompts.models import Experiment, ExperimentState
from prompts.statistics.comparison import Arm, Comparison, Finding, compare
from prompts.statistics.sample_ratio import SampleRatio
from prompts.statistics.verdict import Verdict, verdict


class Range(Struct, frozen=True):
    """A figure, and all the values that the data are compatible with."""

    value: float
    low: float
    high: float


class Compared(Struct, frozen=True):
    """One arm against control by one metric."""

    metric: str
    arm: str
    state: str  # "ready", "too_few" or "same"
    p_value: float  # after Holm, and valid whenever somebody looks
    is_certain: bool
    is_good: bool | None = None  # None: no difference is known yet
    difference: Range | None = None
    relative: Range | None = None  # None also where control's figure is 0


class ArmResult(Struct, frozen=True):
    """What was counted of one arm."""

    name: str
    is_control: bool
    units: int
    expected_units: float | None
    requests: int  # without those answered from the cache
    cache_hits: int
    cache_share: float | None
    unpriced: int
    values: dict[str, float | None]  # by metric
    outcome: str = ""  # "better", "worse", ...; of control: none
    sentences: tuple[str, ...] = ()


class Report(Struct, frozen=True):
    """Everything that the results page shows."""

    counted_at: datetime
    is_trusted: bool  # units came to the arms as planned
    split_p_value: float | None
    sentences: tuple[str, ...]
    arms: tuple[ArmResult, ...]
    comparisons: tuple[Compared, ...]

    @property
    def text(self) -> str:
        """The verdict in one paragraph."""
        return " ".join((*self.sentences, *(said for arm in self.arms for said in arm.sentences)))

    @property
    def is_empty(self) -> bool:
        return not any(arm.units for arm in self.arms)


def report_of(experiment: Experiment) -> Report:
    """Return what came of a started experiment: as it is now, or as it was when it stopped."""
    if experiment.state == ExperimentState.STOPPED:
        return last_report(experiment) or count(experiment)
    return count(experiment)


def last_report(experiment: Experiment) -> Report | None:
    """Return what was counted last: a minute ago at most while it runs, or when it stopped."""
    return msgspec.convert(experiment.results, Report) if experiment.results else None


def count(experiment: Experiment) -> Report:
    """Return what came of a started experiment until now."""
    figures, split = figures_of(experiment), split_of(experiment)
    control = next(arm.name for arm in experiment.arms.all() if arm.is_control)
    design = design_of(experiment)
    sides = [Arm(name, _by_name(found)) for name, found in figures.items()]
    ours = next(side for side in sides if side.name == control)
    comparisons = compare(design, ours, [side for side in sides if side is not ours])
    said = verdict(design, comparisons, split)
    return Report(
        counted_at=timezone.now(),
        is_trusted=said.is_trusted,
        split_p_value=split.p_value if split else None,
        sentences=said.sentences,
        arms=_arms(figures, control, split, said),
        comparisons=tuple(map(_compared, comparisons)),
    )


def stored(report: Report) -> dict[str, Any]:
    """Return the JSON of a report."""
    found: dict[str, Any] = msgspec.to_builtins(report)
    return found


def _by_name(figures: Figures) -> Mapping[str, Any]:
    return {metric.value: sums for metric, sums in figures.sums.items()}


def _arms(
    figures: Mapping[str, Figures], control: str, split: SampleRatio | None, said: Verdict
) -> tuple[ArmResult, ...]:
    expected: Sequence[float | None] = split.expected if split else [None] * len(figures)
    verdicts = {arm.arm: arm for arm in said.arms}
    return tuple(
        ArmResult(
            name=name,
            is_control=name == control,
            units=found.units,
            expected_units=awaited,
            requests=found.requests,
            cache_hits=found.cache_hits,
            cache_share=found.cache_share,
            unpriced=found.unpriced,
            values={metric.value: sums.ratio for metric, sums in found.sums.items()},
            outcome=verdicts[name].outcome.value if name in verdicts else "",
            sentences=verdicts[name].sentences if name in verdicts else (),
        )
        for (name, found), awaited in zip(figures.items(), expected, strict=True)
    )


def _compared(comparison: Comparison) -> Compared:
    return Compared(
        metric=comparison.metric.name,
        arm=comparison.arm,
        state=comparison.state.value,
        p_value=comparison.adjusted_p_value,
        is_certain=comparison.is_certain,
        is_good=comparison.is_good,
        difference=_range(comparison.difference),
        relative=_range(comparison.relative),
    )


def _range(finding: Finding | None) -> Range | None:
    if finding is None:
        return None
    return Range(finding.estimate.value, finding.interval.low, finding.interval.high)
