"""What holds for any data: symmetry, units of measure, order, and never a figure that is none."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prompts.statistics import holm
from prompts.statistics.comparison import FEWEST_ALIKE, Comparison, Finding, State
from prompts.statistics.confidence import Confidence
from prompts.statistics.metrics import COST, ERRORS
from prompts.statistics.planning import more_units, units_needed
from prompts.statistics.sample_ratio import Period, sample_ratio
from prompts.statistics.sums import Sums
from prompts.statistics.verdict import verdict
from tests.statistics_support import DESIGN, arm, compared, one, sums_of

sixty = settings(max_examples=60, deadline=None)  # the first calculation loads scipy
# What a unit has: dollars from the smallest that is booked to more than anybody spends, or seconds.
AMOUNTS = st.one_of(st.just(0.0), st.floats(1e-12, 1e7), st.sampled_from([0.001, 0.1, 1.0, 250.0]))
REQUESTS = st.one_of(st.integers(0, 3), st.integers(0, 100_000)).map(float)
UNITS = st.tuples(AMOUNTS, REQUESTS).map(lambda unit: (unit[0] * unit[1], unit[1]))
SHARES = REQUESTS.flatmap(lambda x: st.tuples(st.integers(0, int(x)).map(float), st.just(x)))


def many(unit: st.SearchStrategy[tuple[float, float]]) -> st.SearchStrategy[Sums]:
    """Return the sums of some different units, each there once or hundreds of times."""
    kinds = st.lists(st.tuples(unit, st.integers(1, 400)), min_size=1, max_size=8)
    return kinds.map(lambda found: sums_of([pair for pair, times in found for _ in range(times)]))


NOTHING = Sums(units=0, y=0.0, yy=0.0, x=0.0, xx=0.0, xy=0.0)
ARMS = st.one_of(many(UNITS), st.just(NOTHING))
SHARED = st.one_of(many(SHARES), st.just(NOTHING))
PLAIN = sums_of([(1.0, 1.0), (2.0, 1.0)] * 100)
CHEAP = sums_of([(0.5, 1.0), (2.0, 1.0)] * 100)


def figures(comparison: Comparison) -> Iterator[float]:
    yield from (comparison.p_value, comparison.adjusted_p_value)
    for finding in (comparison.difference, comparison.relative):
        if finding is not None:
            yield from (finding.estimate.value, finding.estimate.variance)
            yield from (finding.interval.low, finding.interval.high)


def sized(finding: Finding | None) -> tuple[float, float, float]:
    assert finding is not None
    return finding.estimate.value, finding.interval.low, finding.interval.high


def is_sound(comparison: Comparison) -> bool:
    """Return whether every figure is one, and the interval is around the estimate."""
    found = [comparison.difference, comparison.relative]
    return (
        all(math.isfinite(figure) for figure in figures(comparison))
        and 0 <= comparison.p_value <= comparison.adjusted_p_value <= 1
        and all(one.interval.low <= one.estimate.value <= one.interval.high for one in found if one)
        and (comparison.state is State.READY) == (comparison.difference is not None)
        and (comparison.excludes_zero or not comparison.is_certain)
    )


@sixty
@example(control=PLAIN, other=CHEAP)
@example(control=NOTHING, other=NOTHING)
@given(control=ARMS, other=ARMS)
def test_any_costs_give_figures_and_words(control: Sums, other: Sums) -> None:
    found = compared(arm("A", cost=control, errors=control), arm("B", cost=other, errors=other))

    assert all(map(is_sound, found))
    assert "nan" not in verdict(DESIGN, found).text


@sixty
@given(control=SHARED, other=SHARED)
def test_any_shares_give_figures_and_words(control: Sums, other: Sums) -> None:
    found = compared(arm("A", errors=control, thumbs=other), arm("B", errors=other, thumbs=control))

    assert all(map(is_sound, found))
    assert "nan" not in verdict(DESIGN, found).text


@sixty
@example(control=PLAIN, other=CHEAP)
@given(control=ARMS, other=ARMS)
def test_the_other_way_round_only_the_sign_changes(control: Sums, other: Sums) -> None:
    there, back = one(COST, control, other), one(COST, other, control)

    assert there.state is back.state
    assert there.p_value == pytest.approx(back.p_value)
    if there.difference:
        value, low, high = sized(back.difference)
        assert sized(there.difference) == pytest.approx((-value, -high, -low))


@sixty
@example(control=PLAIN, other=CHEAP, factor=1000.0)
@given(control=ARMS, other=ARMS, factor=st.sampled_from([0.001, 2.0**-20, 1000.0, 2.0**20]))
def test_cents_or_dollars_say_the_same(control: Sums, other: Sums, factor: float) -> None:
    plain, scaled = (one(COST, in_units(control, by), in_units(other, by)) for by in (1.0, factor))

    if plain.state is not scaled.state:  # a sum that is just enough, or not, by rounding
        assert is_on_the_edge(control, other)
    elif plain.difference and plain.relative:
        assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-6, abs=1e-9)
        assert sized(scaled.relative) == pytest.approx(sized(plain.relative), rel=1e-6, abs=1e-9)


def in_units(sums: Sums, by: float) -> Sums:
    return Sums(sums.units, sums.y * by, sums.yy * by * by, sums.x, sums.xx, sums.xy * by)


def is_on_the_edge(control: Sums, other: Sums) -> bool:
    pooled = control + other
    alike = min(control.units, other.units) * min(pooled.evenness_of_x, pooled.evenness_of_y)
    return alike == pytest.approx(FEWEST_ALIKE) or pooled.unit_variance < 1e-9 * pooled.yy


@sixty
@given(st.lists(UNITS, min_size=2, max_size=12))
def test_the_order_of_units_does_not_matter(rows: list[tuple[float, float]]) -> None:
    there, here = sums_of(rows), sums_of(sorted(rows))

    assert there.unit_variance == pytest.approx(here.unit_variance, rel=1e-3, abs=1e-9 * there.yy)


@sixty
@given(first=ARMS, second=ARMS)
def test_sums_of_two_times_add_up(first: Sums, second: Sums) -> None:
    both = first + second

    assert both == second + first
    assert both.units == first.units + second.units


@sixty
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_makes_a_p_value_smaller_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm.adjusted(p_values)

    assert all(
        plain <= after <= min(1.0, plain * len(p_values))
        for plain, after in zip(p_values, adjusted, strict=True)
    )
    ranked = sorted(zip(p_values, adjusted, strict=True))
    assert [after for _, after in ranked] == sorted(adjusted)


@sixty
@given(
    st.lists(
        st.tuples(
            st.tuples(*[st.integers(0, 10**7)] * 3),
            st.tuples(*[st.one_of(st.just(0.0), st.floats(1e-6, 1e6))] * 3),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_split_gives_probabilities(
    rows: list[tuple[tuple[int, int, int], tuple[float, float, float]]],
) -> None:
    found = sample_ratio([Period(units, weights) for units, weights in rows])

    assert 0 <= found.p_value_any_time <= 1
    assert found.p_value is None or 0 <= found.p_value <= 1


@sixty
@given(
    control=ARMS, other=ARMS, tightest_at=st.integers(1, 10**9), alpha=st.sampled_from([0.5, 1e-9])
)
def test_any_forecast_is_a_number_of_units(
    control: Sums, other: Sums, tightest_at: int, alpha: float
) -> None:
    found = one(ERRORS, control, other)

    more = more_units(found, DESIGN, comparisons=3)
    needed = units_needed(control, smallest=0.05)

    assert more is None or more >= 0
    assert needed is None or needed.watched.total >= needed.looked_at_once.total > 0
    assert Confidence(alpha, tightest_at).boundary(max(found.units, 1)) > 0
