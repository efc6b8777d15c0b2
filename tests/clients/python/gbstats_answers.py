"""Print what gbstats makes of some experiments: `tests/gbstats_answers.json` is what it printed."""

import json

import numpy as np
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import ProportionStatistic, RatioStatistic, SampleMeanStatistic
from gbstats.utils import check_srm

CONFIDENCES = [(0.05, 5000), (0.01, 800)]
SPLITS = [
    ([5000, 5100], [0.5, 0.5]),
    ([5000, 5400], [0.5, 0.5]),
    ([9100, 880], [0.9, 0.1]),
    ([9100, 880, 905], [10, 1, 1]),
    ([300, 310, 640], [1, 1, 2]),
]


def main():
    rng = np.random.default_rng(20)
    data = [
        ("binary", 4000, 4100, lambda n, lift: (rng.random(n) < 0.2 * lift) * 1.0, None),
        ("skewed", 1500, 1450, lambda n, lift: rng.lognormal(-4, 1.2, n) * lift, None),
        ("large values", 900, 1000, lambda n, lift: rng.normal(1e6, 1e4, n) * lift, None),
        ("ratio", 800, 820, lambda n, lift: rng.lognormal(0, 0.7, n) * lift, 1.0),
        ("ratio, very uneven", 5000, 2600, lambda n, lift: rng.lognormal(0, 0.7, n) * lift, 1.6),
        ("unequal arms", 3000, 900, lambda n, lift: rng.lognormal(0, 1.2, n) * lift, None),
        ("few", 40, 45, lambda n, lift: rng.lognormal(0, 0.5, n) * lift, None),
    ]
    cases = [
        case(rng, kind, lift, confidence)
        for kind in data
        for lift in (1.0, 0.82, 1.3)
        for confidence in CONFIDENCES
    ]
    splits = [
        {"units": units, "weights": weights, "p_value": float(check_srm(units, weights))}
        for units, weights in SPLITS
    ]
    for opening, rows in ('{"cases": [', cases), ('], "splits": [', splits):
        print(opening, ",\n".join(map(json.dumps, rows)), sep="\n")
    print("]}")


def case(rng, kind, lift, confidence):
    name, control_units, arm_units, draw, spread = kind
    control = sums(rng, draw(control_units, 1.0), spread)
    arm = sums(rng, draw(arm_units, lift), spread)
    answers = {
        form: answer(name, control, arm, form, confidence) for form in ("absolute", "relative")
    }
    alpha, tightest_at = confidence
    return {
        **{"name": f"{name} x{lift} {alpha}", "alpha": alpha, "tightest_at": tightest_at},
        **{"control": control, "arm": arm, **answers},
    }


def sums(rng, per_request, spread):
    """Return the sums over units: of one request each, or of a random number of them."""
    units = len(per_request)
    x = np.ones(units) if spread is None else np.ceil(rng.lognormal(1, spread, units))
    y = per_request * x
    figures = {"y": y, "yy": y * y, "x": x, "xx": x * x, "xy": x * y}
    return {"units": units, **{key: float(values.sum()) for key, values in figures.items()}}


def answer(name, control, arm, form, confidence):
    alpha, tightest_at = confidence
    config = SequentialConfig(
        difference_type=form, alpha=alpha, sequential_tuning_parameter=tightest_at
    )
    kinds = [statistic(name, control), statistic(name, arm)]
    result = SequentialTwoSidedTTest(*kinds, config).compute_result()
    return {
        "value": float(result.expected),
        "deviation": float(result.uplift.stddev),
        "interval": [float(end) for end in result.ci],
        "p_value": float(result.p_value),
    }


def statistic(name, arm):
    units = arm["units"]
    if name == "binary":
        return ProportionStatistic(n=units, sum=arm["y"])
    mean = SampleMeanStatistic(n=units, sum=arm["y"], sum_squares=arm["yy"])
    if not name.startswith("ratio"):
        return mean
    return RatioStatistic(
        n=units,
        m_statistic=mean,
        d_statistic=SampleMeanStatistic(n=units, sum=arm["x"], sum_squares=arm["xx"]),
        m_d_sum_of_products=arm["xy"],
    )


if __name__ == "__main__":
    main()
