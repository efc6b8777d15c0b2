"""Arms made of numbers, for the tests of the figures of experiments."""

from collections.abc import Iterable, Sequence

from prompts.statistics.comparison import Arm, Comparison, Design, compare
from prompts.statistics.metrics import COST, ERRORS, THUMBS, Metric
from prompts.statistics.sums import Sums

DESIGN = Design(
    primary=COST, secondary=(ERRORS, THUMBS), guardrails=frozenset({"errors", "thumbs"})
)


def sums_of(pairs: Iterable[tuple[float, float]]) -> Sums:
    """Return the sums of units, given as numerator and denominator."""
    rows = [(1.0, y, y * y, x, x * x, x * y) for y, x in pairs]
    units, *rest = (sum(column) for column in zip(*rows, strict=True))
    return Sums(int(units), *rest)


def of_each(*values: float, times: int) -> Sums:
    """Return the sums of so many units with each of these values."""
    return sums_of([(value, 1.0) for value in values] * times)


def share(part: int, units: int) -> Sums:
    """Return the sums of units of which some did it."""
    return Sums.per_unit(units, y=float(part), yy=float(part))


def votes(up: int, cast: int, *, units: int) -> Sums:
    """Return the sums of units of which some have voted, once."""
    return Sums(units=units, y=up, yy=up, x=cast, xx=cast, xy=up)


def costing(mean: float, units: int) -> Sums:
    """Return the sums of units that cost this on average, some half and some half as much again."""
    return Sums.per_unit(units, y=mean * units, yy=1.25 * mean**2 * units)


def arm(name: str, **sums: Sums) -> Arm:
    return Arm(name, sums)


def compared(control: Arm, *arms: Arm, design: Design = DESIGN) -> tuple[Comparison, ...]:
    return compare(design, control, arms)


def one(metric: Metric, control: Sums, other: Sums) -> Comparison:
    """Return the comparison of two arms by one metric."""
    sides: Sequence[Arm] = [Arm("A", {metric.name: control}), Arm("B", {metric.name: other})]
    return compare(Design(primary=metric), sides[0], sides[1:])[0]
