"""The figures are those of gbstats, another public implementation, but where that is on purpose.

`tests/gbstats_answers.json` is what its pinned version printed; `make test-clients` asks it again.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from prompts.statistics import differences
from prompts.statistics.confidence import Confidence
from prompts.statistics.differences import Estimate
from prompts.statistics.sample_ratio import Period, sample_ratio
from prompts.statistics.sums import Sums

ANSWERS = json.loads((Path(__file__).parent / "gbstats_answers.json").read_text())
OURS = {"absolute": differences.absolute, "relative": differences.relative}
FORMS = ("absolute", "relative")


def named(*, unequal: bool) -> list[Any]:
    """Return the cases by name: those with arms of very different size, or all others."""
    cases = [case for case in ANSWERS["cases"] if case["name"].startswith("unequal") == unequal]
    return [pytest.param(case, id=case["name"]) for case in cases]


def estimated(case: dict[str, Any], form: str) -> tuple[Estimate, Confidence, int]:
    control, arm = Sums(**case["control"]), Sums(**case["arm"])
    estimate = OURS[form](control, arm)
    assert estimate is not None
    return estimate, Confidence(case["alpha"], case["tightest_at"]), control.units + arm.units


def exactness(case: dict[str, Any]) -> float:
    """Return how far a variance may be from theirs.

    They divide the squares of yes and no by the units, we by the units less one, as for any other
    metric. Large values with little variation lose digits in the way they sum up.
    """
    if case["name"].startswith("binary"):
        return float(1.01 / min(case["control"]["units"], case["arm"]["units"]))
    return 1e-6 if case["name"].startswith("large") else 1e-9


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", named(unequal=False))
def test_the_difference_and_its_variance_are_theirs(case: dict[str, Any], form: str) -> None:
    estimate, _, _ = estimated(case, form)

    assert estimate.value == pytest.approx(case[form]["value"], rel=1e-9)
    assert estimate.variance == pytest.approx(case[form]["deviation"] ** 2, rel=exactness(case))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", named(unequal=False))
def test_the_interval_and_the_p_value_are_theirs(case: dict[str, Any], form: str) -> None:
    estimate, confidence, units = estimated(case, form)
    # Their variance, so that a difference there is not counted twice.
    estimate = Estimate(estimate.value, case[form]["deviation"] ** 2)

    interval = confidence.interval(estimate, units)

    # Of the relative difference, this is not the interval that is shown: see the next test.
    assert [interval.low, interval.high] == pytest.approx(case[form]["interval"], rel=1e-8)
    p_value = confidence.p_value(estimate, units)
    assert p_value == pytest.approx(case[form]["p_value"], rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("case", named(unequal=False))
def test_the_relative_interval_is_theirs_seen_as_a_factor(case: dict[str, Any]) -> None:
    """Theirs is 1 ± h times the ratio, ours the ratio times e to the ± h: h²/2 apart, and a bit."""
    estimate, confidence, units = estimated(case, "relative")
    ratio, plain = 1 + estimate.value, confidence.interval(estimate, units)
    half = (plain.high - plain.low) / 2 / ratio

    interval = confidence.relative_interval(estimate, units)

    apart = ratio * half**2 * math.exp(half) / 2
    assert interval.low == pytest.approx(plain.low, abs=apart)
    assert interval.high == pytest.approx(plain.high, abs=apart)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", named(unequal=True))
def test_with_very_unequal_arms_ours_is_never_narrower(case: dict[str, Any], form: str) -> None:
    """A small arm takes at least the variance of both together: see `differences.variance_of`."""
    estimate, confidence, units = estimated(case, form)
    low, high = case[form]["interval"]

    interval = confidence.interval(estimate, units)

    assert estimate.value == pytest.approx(case[form]["value"], rel=1e-9)
    assert interval.high - interval.low >= (high - low) * (1 - 1e-9)
    assert interval.high - interval.low <= (high - low) * 1.5


@pytest.mark.parametrize("split", ANSWERS["splits"])
def test_the_check_of_the_split_is_theirs(split: dict[str, Any]) -> None:
    found = sample_ratio([Period(tuple(split["units"]), tuple(split["weights"]))])

    assert found.p_value == pytest.approx(split["p_value"], rel=1e-9)
