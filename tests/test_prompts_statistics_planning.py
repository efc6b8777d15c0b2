"""How many units it takes, before the start and on the way."""

import math
from dataclasses import replace

import pytest

from prompts.statistics.comparison import Comparison
from prompts.statistics.confidence import Confidence
from prompts.statistics.metrics import COST
from prompts.statistics.planning import Sizes, more_units, units_needed
from prompts.statistics.sums import Sums
from tests.statistics_support import DESIGN, arm, compared, costing, of_each, one, share


def test_the_sample_size_is_that_of_the_textbook() -> None:
    """Half a standard deviation, 5%, power 80%: 63 in each group, by the normal quantiles."""
    baseline = of_each(9, 11, times=1000)

    needed = units_needed(baseline, smallest=0.05)

    assert needed is not None
    assert needed.looked_at_once.control == needed.looked_at_once.arm == 63
    assert 2.0 < needed.watched.total / needed.looked_at_once.total < 6.0


def watched(**plan: float) -> Sizes:
    """Return the units needed to see a tenth of a cost, or what else is asked."""
    needed = units_needed(costing(1, 1000), **{"smallest": 0.1, **plan})  # type: ignore[arg-type]
    assert needed is not None
    return needed.watched


def test_a_smaller_difference_more_arms_and_an_unequal_split_take_more() -> None:
    plain, tenth = watched(), watched(arm_share=0.1)

    assert watched(smallest=0.05).total > 3 * plain.total
    assert watched(comparisons=4).total > plain.total
    assert watched(power=0.9).total > plain.total
    assert tenth.total > 2 * plain.total
    assert tenth.control == pytest.approx(9 * tenth.arm, rel=0.01)


@pytest.mark.parametrize("smallest", [0.01, 0.0344, 0.2])
def test_with_as_many_units_the_difference_stands_out_as_the_power_asks(smallest: float) -> None:
    """80% of all experiments are no more than 0.84 standard errors below what is true."""
    units = watched(smallest=smallest).total // 2

    found = one(COST, costing(1, units), costing(1 + smallest, units))

    assert found.difference is not None
    deviations = smallest / math.sqrt(found.difference.estimate.variance)
    assert deviations == pytest.approx(Confidence().boundary(2 * units) + 0.8416, rel=0.01)


@pytest.mark.parametrize(
    ("baseline", "smallest"),
    [(share(0, 500), 0.1), (Sums.per_unit(0, 0, 0), 0.1), (costing(1, 500), 0.0)],
)
def test_nobody_can_plan_with_nothing(baseline: Sums, smallest: float) -> None:
    assert units_needed(baseline, smallest=smallest) is None


def test_after_as_many_more_units_it_is_certain() -> None:
    now = one(COST, costing(1, 400), costing(0.9, 400))

    more = more_units(now, DESIGN)

    assert more is not None
    assert more > 0
    for extra, certain in ((more - 40, False), (more + 40, True)):
        units = (800 + extra) // 2
        assert one(COST, costing(1, units), costing(0.9, units)).is_certain is certain


def test_after_as_many_more_units_a_difference_worth_seeing_is_excluded() -> None:
    now = one(COST, costing(1, 400), costing(1, 400))

    more = more_units(now, DESIGN)

    assert more is not None
    for extra, within in ((more - 40, False), (more + 40, True)):
        units = (800 + extra) // 2
        then = one(COST, costing(1, units), costing(1, units))
        assert then.relative is not None
        assert then.relative.interval.within(DESIGN.worth_seeing) is within


def test_what_is_certain_needs_no_more() -> None:
    assert more_units(one(COST, costing(1, 2000), costing(0.8, 2000)), DESIGN) == 0


def test_with_more_arms_it_takes_longer() -> None:
    now = one(COST, costing(1, 400), costing(0.9, 400))

    alone, beside = more_units(now, DESIGN), more_units(now, DESIGN, comparisons=3)

    assert alone is not None
    assert beside is not None
    assert beside > alone


def not_enough() -> Comparison:
    return one(COST, costing(1, 10), costing(0.5, 10))


def within_the_noise() -> Comparison:
    return one(COST, costing(1, 40), costing(0.975, 40))


def no_error_anywhere() -> Comparison:
    return compared(arm("A", errors=share(0, 90)), arm("B", errors=share(0, 90)))[1]


@pytest.mark.parametrize("comparison", [not_enough(), within_the_noise(), no_error_anywhere()])
def test_nobody_can_say_how_long_it_takes(comparison: Comparison) -> None:
    assert more_units(comparison, DESIGN) is None


def test_a_difference_too_small_for_any_experiment_has_no_forecast() -> None:
    found = one(COST, costing(1, 1000), costing(1.0003, 1000))

    assert more_units(found, replace(DESIGN, worth_seeing=0.001)) is None
