"""What the pages of an experiment show, ready for templates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.money import as_text
from prompts.experiments.design import METRICS
from prompts.experiments.results import ArmResult, Compared, Range, Report
from prompts.models import Experiment, Metric

WIDTH, MIDDLE, MARGIN = 240.0, 120.0, 8.0  # of the drawing of an interval
WIDEST = 1.0  # a difference of 100% is as far as a drawing goes

NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Drawing:
    """An interval on a line on which "no difference" is in the middle."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one arm, beside control."""

    metric: str
    is_primary: bool
    control: str
    arm: str
    difference: str
    says: str  # in a word or two, for those who do not see the colour
    kind: str  # "good", "bad", "open"
    drawing: Drawing | None


@dataclass(frozen=True, slots=True)
class Section:
    """One arm against control."""

    arm: ArmResult
    rows: list[Row]


def sections(experiment: Experiment, report: Report) -> list[Section]:
    """Return a section for each arm but control, the primary metric first."""
    control = next(arm for arm in report.arms if arm.is_control)
    others = [arm for arm in report.arms if not arm.is_control]
    return [Section(arm, _rows(experiment, report, control, arm)) for arm in others]


def _rows(experiment: Experiment, report: Report, control: ArmResult, arm: ArmResult) -> list[Row]:
    compared = [one for one in report.comparisons if one.arm == arm.name]
    widest = _widest([one.relative for one in compared if one.relative])
    return [
        Row(
            metric=Metric(one.metric).label,
            is_primary=one.metric == experiment.primary_metric,
            control=shown(one.metric, control.values.get(one.metric)),
            arm=shown(one.metric, arm.values.get(one.metric)),
            difference=_difference(one),
            says=_says(one),
            kind=_kind(one),
            drawing=_drawing(one.relative, widest) if one.relative else None,
        )
        for one in compared
    ]


def shown(metric: str, value: float | None) -> str:
    """Return a figure as people read it."""
    return NOT_KNOWN if value is None else _FORMATS[Metric(metric)](value)


def _dollars(value: float) -> str:
    return as_text(Decimal(value))


def _seconds(value: float) -> str:
    return f"{value:.2f} s"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _share(value: float) -> str:
    return f"{value:.1%}"


_FORMATS: dict[Metric, Callable[[float], str]] = {
    Metric.COST: _dollars,
    Metric.TTFT: _seconds,
    Metric.DURATION: _seconds,
    Metric.INPUT_TOKENS: _count,
    Metric.OUTPUT_TOKENS: _count,
    **{name: _share for name, metric in METRICS.items() if metric.is_share},
}


def _difference(compared: Compared) -> str:
    if compared.relative is None:
        return "the same" if compared.state == "same" else "not enough data yet"
    found = compared.relative
    return f"{_signed(found.value)} ({_signed(max(found.low, -1.0))} to {_signed(found.high)})"


def _signed(share: float) -> str:
    digits = 0 if abs(share) >= 0.0995 else 1
    return f"{share:+.{digits}%}".replace("-", "−")


def _kind(compared: Compared) -> str:
    if not compared.is_certain or compared.is_good is None:
        return "open"
    return "good" if compared.is_good else "bad"


def _says(compared: Compared) -> str:
    if compared.relative is None and compared.difference is None:
        return ""
    if compared.is_certain and compared.is_good is not None:
        return "certainly better" if compared.is_good else "certainly worse"
    return "certain" if compared.is_certain else "not certain"


def _widest(ranges: Sequence[Range]) -> float:
    """Return how far the drawings of one arm reach: all of them to the same scale."""
    ends = [abs(end) for one in ranges for end in (one.low, one.high)]
    return min(max(ends, default=WIDEST), WIDEST) or WIDEST


def _drawing(found: Range, widest: float) -> Drawing:
    def place(share: float) -> float:
        inside = max(-widest, min(widest, share))
        return round(MIDDLE + inside / widest * (MIDDLE - MARGIN), 1)

    return Drawing(place(found.low), place(found.value), place(found.high))
