"""What came out, in plain words: never more than the intervals say."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from prompts.statistics.comparison import Comparison, Design, State
from prompts.statistics.planning import more_units
from prompts.statistics.sample_ratio import SampleRatio
from prompts.statistics.wording import joined, percent, roughly, two_shares


class Outcome(StrEnum):
    """What came of an arm, in a word."""

    TOO_FEW = "too_few"
    UNDECIDED = "undecided"
    ALIKE = "alike"  # no difference from control that is worth seeing
    BETTER = "better"
    MIXED = "mixed"  # better, but a guardrail got worse
    WORSE = "worse"  # by the primary metric or by a guardrail


@dataclass(frozen=True, slots=True)
class ArmVerdict:
    """What came of one arm, and the sentences that say it."""

    arm: str
    outcome: Outcome
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of an experiment: sentences about all of it, and about each arm."""

    is_trusted: bool  # units came to the arms as planned
    sentences: tuple[str, ...]
    arms: tuple[ArmVerdict, ...]

    @property
    def text(self) -> str:
        """All of it, in one paragraph."""
        return " ".join((*self.sentences, *(line for arm in self.arms for line in arm.sentences)))


def verdict(
    design: Design, comparisons: Sequence[Comparison], split: SampleRatio | None = None
) -> Verdict:
    """Say what came out; a split that is not as planned comes first."""
    names = list(dict.fromkeys(comparison.arm for comparison in comparisons))
    arms = tuple(
        _arm(design, [one for one in comparisons if one.arm == name], len(names)) for name in names
    )
    is_alarm = split is not None and split.is_alarm
    sentences = [_distrust(design, split)] if split is not None and is_alarm else []
    sentences += _together(design, arms)
    return Verdict(not is_alarm, tuple(sentences), arms)


def _distrust(design: Design, split: SampleRatio) -> str:
    found = joined([f"{units:,}" for units in split.units], "and")
    expected = joined([f"{units:,.0f}" for units in split.expected], "and")
    return (
        f"Do not trust these figures: the arms have {found} {design.unit} where {expected} were "
        "expected, which is no chance. Find the cause first."
    )


def _together(design: Design, arms: Sequence[ArmVerdict]) -> list[str]:
    """Return what only several arms together show."""
    if len(arms) < 2:
        return []
    if all(arm.outcome is Outcome.ALIKE for arm in arms):
        return [f"All arms are alike in {design.primary.label}."]
    better = [arm.arm for arm in arms if arm.outcome is Outcome.BETTER]
    if len(better) < 2:
        return []
    return [
        f"{joined(better, 'and')} are each better than control; "
        "that does not tell which of them is best."
    ]


def _arm(design: Design, comparisons: Sequence[Comparison], arms: int) -> ArmVerdict:
    """Say what came of one arm: primary metric, harm, what else is certain, what is not."""
    primary, secondary = comparisons[0], comparisons[1:]
    guardrails = [one for one in secondary if one.metric.name in design.guardrails]
    worse = [one for one in guardrails if is_worse(one)]
    certain = [one for one in secondary if one.is_certain and one not in worse]
    sentences = [
        _primary_sentence(primary, design),
        *(_harm(one, primary) for one in worse),
        *(f"{one.arm} also {change(one)}." for one in certain),
        *_no_sign([one for one in guardrails if one not in worse and one not in certain]),
        *_wait(design, primary, guardrails, arms),
    ]
    return ArmVerdict(primary.arm, _outcome(design, primary, worse), tuple(sentences))


def _harm(guardrail: Comparison, primary: Comparison) -> str:
    if primary.is_certain and not primary.is_good:
        return f"{guardrail.arm} also {change(guardrail)}."
    return f"But {guardrail.arm} {change(guardrail)}."


def is_worse(comparison: Comparison) -> bool:
    """Return whether a guardrail got worse: without Holm, for a warning may come too often."""
    return comparison.excludes_zero and comparison.is_good is False


def is_alike(comparison: Comparison, worth_seeing: float) -> bool:
    """Return whether any difference worth seeing is excluded."""
    if comparison.state is State.SAME:
        return True
    relative = comparison.relative
    return relative is not None and relative.interval.within(worth_seeing)


def _outcome(design: Design, primary: Comparison, worse: Sequence[Comparison]) -> Outcome:
    if primary.is_certain and primary.is_good:
        return Outcome.MIXED if worse else Outcome.BETTER
    if primary.is_certain or worse:
        return Outcome.WORSE
    if primary.state is State.TOO_FEW:
        return Outcome.TOO_FEW
    return Outcome.ALIKE if is_alike(primary, design.worth_seeing) else Outcome.UNDECIDED


def _primary_sentence(primary: Comparison, design: Design) -> str:
    if primary.is_certain:
        return f"{primary.arm} {change(primary)}."
    label = primary.metric.label
    if primary.state is State.TOO_FEW:
        return f"Not enough data yet to compare the {label} of {primary.arm}."
    if primary.state is State.SAME:
        return f"{primary.arm} and control are the same in {label}."
    if is_alike(primary, design.worth_seeing):
        return (
            f"{primary.arm} and control differ by less than {percent(design.worth_seeing)} "
            f"in {label}."
        )
    return f"No certain difference yet between {primary.arm} and control in {label}."


def change(comparison: Comparison) -> str:
    """Return what an arm does otherwise than control: "costs 18% less (12% to 24%)"."""
    words, difference = comparison.metric.words, comparison.difference
    assert difference is not None  # noqa: S101 - a difference that is certain is there
    pattern = words.more if difference.estimate.value > 0 else words.less
    relative = comparison.relative
    by = f"{percent(relative.estimate.value)} " if relative else ""
    return pattern.format(by=by) + _between(comparison) + _shares(comparison)


def _between(comparison: Comparison) -> str:
    """Return the interval of a change, without its sign."""
    if comparison.relative is None:
        return ""
    interval = comparison.relative.interval
    ends = sorted(map(abs, (interval.low, interval.high)))
    return f" ({percent(ends[0])} to {percent(ends[1])})"


def _shares(comparison: Comparison) -> str:
    """Return both shares: 50% more of hardly anything is hardly anything."""
    if not comparison.metric.is_share or None in (comparison.arm_value, comparison.control_value):
        return ""
    here, there = two_shares(comparison.arm_value or 0.0, comparison.control_value or 0.0)
    return f": {here} instead of {there}"


def _no_sign(guardrails: Sequence[Comparison]) -> list[str]:
    """Return which guardrails show no harm, and of which nothing can be said yet."""
    sentences = []
    if quiet := [one.metric.words.worse for one in guardrails if one.state is not State.TOO_FEW]:
        sentences.append(f"No sign that {joined(quiet, 'or')}.")
    if few := [one.metric.label for one in guardrails if one.state is State.TOO_FEW]:
        sentences.append(f"Not enough data yet on {joined(few, 'and')}.")
    return sentences


def _wait(
    design: Design, primary: Comparison, guardrails: Sequence[Comparison], arms: int
) -> list[str]:
    """Return how long certainty takes: of the primary metric, or else of the guardrails."""
    if not primary.is_certain:
        more = more_units(primary, design, comparisons=arms)
        return [f"About {roughly(more)} more {design.unit} for certainty."] if more else []
    waits = [more_units(one, design) for one in guardrails if not one.excludes_zero]
    more = max((wait for wait in waits if wait), default=None)
    if not more:
        return []
    return [f"About {roughly(more)} more {design.unit} for certainty about that, too."]
