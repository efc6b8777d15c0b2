"""What is known of arms from the sums over their units, and when too little is."""

import os
import statistics
import subprocess
import sys

import pytest
from django.conf import settings

from prompts.statistics import holm
from prompts.statistics.comparison import State
from prompts.statistics.confidence import Confidence
from prompts.statistics.differences import Estimate
from prompts.statistics.metrics import COST, ERRORS, THUMBS
from prompts.statistics.sums import Sums
from tests.statistics_support import DESIGN, arm, compared, costing, of_each, one, share, sums_of


def test_a_mean_per_unit_has_the_variance_of_the_sample() -> None:
    values = [1.0, 4.0, 4.0, 7.0, 11.0]

    sums = Sums.per_unit(5, sum(values), sum(value * value for value in values))

    assert sums.ratio == statistics.mean(values)
    assert sums.unit_variance == pytest.approx(statistics.variance(values))
    assert sums == of_each(*values, times=1)


def test_a_ratio_has_the_variance_of_the_delta_method() -> None:
    ys, xs = [1.0, 6.0, 2.0, 9.0], [1.0, 3.0, 2.0, 4.0]
    ratio, mean = sum(ys) / sum(xs), statistics.mean(xs)

    sums = sums_of(zip(ys, xs, strict=True))

    parts = (
        statistics.variance(ys),
        -2 * ratio * statistics.covariance(ys, xs),
        ratio**2 * statistics.variance(xs),
    )
    assert sums.unit_variance == pytest.approx(sum(parts) / mean**2)


def test_requests_of_one_unit_are_not_counted_as_independent() -> None:
    """Ten people with a hundred requests each, five of whom always fail, are ten people."""
    by_person = sums_of([(100.0, 100.0), (0.0, 100.0)] * 5)
    by_request = sums_of([(1.0, 1.0), (0.0, 1.0)] * 500)

    assert by_person.ratio == by_request.ratio == 0.5
    people = by_person.unit_variance / by_person.units
    assert people > 90 * by_request.unit_variance / by_request.units


def test_a_price_that_never_varies_has_no_variance_whatever_the_rounding() -> None:
    assert sums_of([(0.1 * requests, requests) for requests in range(1, 900)]).unit_variance == 0


def test_an_arm_without_an_error_takes_the_variance_of_both() -> None:
    found = one(ERRORS, share(60, 1000), share(0, 1000))

    assert found.state is State.READY
    assert found.difference is not None
    pooled = share(60, 2000).unit_variance
    expected = share(60, 1000).unit_variance / 1000 + pooled / 1000
    assert found.difference.estimate.variance == pytest.approx(expected)


def test_every_request_failing_in_one_arm_and_none_in_the_other_is_certain() -> None:
    found = one(ERRORS, share(0, 60), share(60, 60))

    assert found.is_certain
    assert found.relative is None  # of nothing there is no percentage
    assert found.is_good is False


def test_many_times_the_errors_of_hardly_any_are_certain() -> None:
    found = one(ERRORS, share(6, 300), share(90, 300))

    assert found.is_certain
    assert found.relative is not None
    assert found.relative.estimate.value == pytest.approx(14)
    assert 0.5 < found.relative.interval.low < 14 < found.relative.interval.high


@pytest.mark.parametrize(
    ("control", "other"),
    [
        pytest.param(costing(1, 29), costing(1, 500), id="few units"),
        pytest.param(Sums.per_unit(0, 0, 0), costing(1, 500), id="an arm without units"),
        pytest.param(sums_of([(0.0, 0.0)] * 99), sums_of([(0.0, 0.0)] * 99), id="nobody has voted"),
        pytest.param(
            sums_of([(5e3, 1e4), *[(1.0, 1.0)] * 400]), of_each(1, 2, times=200), id="a heavy unit"
        ),
        pytest.param(
            of_each(1, 2, times=200), sums_of([(9e5, 1.0), *[(1.0, 1.0)] * 400]), id="a costly unit"
        ),
    ],
)
def test_too_little_data_gives_no_interval(control: Sums, other: Sums) -> None:
    found = one(COST, control, other)

    assert found.state is State.TOO_FEW
    assert found.difference is None
    assert not found.is_certain
    assert found.p_value == 1.0


@pytest.mark.parametrize(("part", "units"), [(2, 900), (898, 900)])
def test_a_share_that_hardly_varies_needs_more_units(part: int, units: int) -> None:
    assert one(THUMBS, share(part, units), share(part, units)).state is State.TOO_FEW
    assert one(THUMBS, share(450, units), share(450, units)).state is State.READY


def test_a_metric_that_an_arm_does_not_have_is_too_few() -> None:
    found = compared(arm("A", cost=costing(1, 500)), arm("B"))

    assert {comparison.state for comparison in found} == {State.TOO_FEW}


def test_no_error_anywhere_is_the_same() -> None:
    found = one(ERRORS, share(0, 500), share(0, 400))

    assert found.state is State.SAME
    assert found.control_value == found.arm_value == 0
    assert found.p_value == 1.0


def test_the_interval_is_tightest_where_it_is_tuned() -> None:
    tuned, earlier, later = (Confidence(tightest_at=at) for at in (2000, 200, 20_000))

    assert tuned.boundary(2000) < earlier.boundary(2000)
    assert tuned.boundary(2000) < later.boundary(2000)
    assert 3.0 < tuned.boundary(2000) < 3.1  # a test that allows one look: 1.96


@pytest.mark.parametrize("units", [60, 900, 5000, 10**6])
def test_the_p_value_says_alpha_just_where_the_interval_ends_at_zero(units: int) -> None:
    confidence = Confidence()
    estimate = Estimate(confidence.boundary(units) * 0.3, 0.09)

    assert confidence.interval(estimate, units).low == pytest.approx(0, abs=1e-12)
    assert confidence.p_value(estimate, units) == pytest.approx(0.05)


def test_evidence_beyond_what_a_float_holds_is_a_p_value_of_zero() -> None:
    assert Confidence().p_value(Estimate(1e9, 1e-9), 5000) == 0.0
    assert Confidence().p_value(Estimate(0.0, 0.0), 5000) == 1.0


def test_holm_multiplies_the_smallest_most() -> None:
    assert holm.adjusted([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm.adjusted([0.6, 0.5]) == [1.0, 1.0]
    assert holm.adjusted([]) == []


def test_several_arms_make_each_less_certain() -> None:
    control, other = arm("A", cost=costing(1, 900)), arm("B", cost=costing(0.912, 900))
    nine = [arm(name, cost=costing(1, 900)) for name in "CDEFGHIJK"]

    alone = compared(control, other)[0]
    among = compared(control, other, *nine)[0]

    assert alone.is_certain
    assert among.p_value == alone.p_value
    assert among.adjusted_p_value == pytest.approx(10 * alone.p_value)
    assert among.excludes_zero
    assert not among.is_certain


def test_the_primary_metric_is_not_weakened_by_the_secondary_ones() -> None:
    control = arm("A", cost=costing(1, 900), errors=share(50, 900), thumbs=share(500, 900))
    other = arm("B", cost=costing(0.9, 900), errors=share(52, 900), thumbs=share(480, 900))

    cost, errors, thumbs = compared(control, other, design=DESIGN)

    assert cost.adjusted_p_value == cost.p_value
    assert errors.adjusted_p_value == thumbs.adjusted_p_value == 1.0


def test_a_web_process_does_not_load_scipy() -> None:
    """It takes a second and 50 MB; only pages of results and the worker need it."""
    program = (
        "import sys, config.asgi, prompts.statistics.verdict\n"
        "from django.urls import get_resolver\n"
        "get_resolver().url_patterns\n"
        "print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    )

    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
    )

    assert ran.stdout == "[]\n", ran.stderr
