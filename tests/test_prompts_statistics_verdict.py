"""What came of an experiment, in words: never more than the intervals say."""

from dataclasses import replace

import pytest

from prompts.statistics import metrics
from prompts.statistics.metrics import Metric
from prompts.statistics.sample_ratio import Period, sample_ratio
from prompts.statistics.sums import Sums
from prompts.statistics.verdict import Outcome, verdict
from prompts.statistics.wording import percent, roughly, two_shares
from tests.statistics_support import DESIGN, arm, compared, costing, of_each, share, votes

METRICS = [metric for metric in vars(metrics).values() if isinstance(metric, Metric)]
CONTROL = {"cost": costing(0.01, 3000), "errors": share(300, 3000), "thumbs": share(2400, 3000)}
QUIET = "No sign that it fails more often or people like it less."
LATER = "About 690 more conversations for certainty about that, too."

CASES = {
    "cheaper, and no harm": (
        {"cost": costing(0.0082, 3000)},
        Outcome.BETTER,
        f"B costs 18% less (15% to 21%). {QUIET} {LATER}",
    ),
    "dearer": (
        {"cost": costing(0.013, 3000)},
        Outcome.WORSE,
        f"B costs 30% more (25% to 35%). {QUIET} {LATER}",
    ),
    "cheaper, but it fails": (
        {"cost": costing(0.0082, 3000), "errors": share(420, 3000)},
        Outcome.MIXED,
        "B costs 18% less (15% to 21%). "
        "But B fails 40% more often (13% to 74%): 14% instead of 10%. "
        "No sign that people like it less.",
    ),
    "dearer, and it fails": (
        {"cost": costing(0.013, 3000), "errors": share(420, 3000)},
        Outcome.WORSE,
        "B costs 30% more (25% to 35%). "
        "B also fails 40% more often (13% to 74%): 14% instead of 10%. "
        "No sign that people like it less.",
    ),
    "no difference yet, but disliked": (
        {"cost": costing(0.0098, 3000), "thumbs": share(2040, 3000)},
        Outcome.WORSE,
        "No certain difference yet between B and control in cost. "
        "But B gets 15% fewer thumbs up (11% to 19%): 68% instead of 80%. "
        "No sign that it fails more often. "
        "About 3,700 more conversations for certainty.",
    ),
    "cheaper and better liked": (
        {"cost": costing(0.0082, 3000), "thumbs": share(2760, 3000)},
        Outcome.BETTER,
        "B costs 18% less (15% to 21%). "
        "B also gets 15% more thumbs up (11% to 19%): 92% instead of 80%. "
        f"No sign that it fails more often. {LATER}",
    ),
    "a little less, which may be chance": (
        {"cost": costing(0.0097, 3000)},
        Outcome.UNDECIDED,
        f"No certain difference yet between B and control in cost. {QUIET} "
        "About 4,200 more conversations for certainty.",
    ),
    "cheaper, and hardly any votes": (
        {"cost": costing(0.0082, 3000), "thumbs": votes(80, 100, units=3000)},
        Outcome.BETTER,
        f"B costs 18% less (15% to 21%). {QUIET} "
        "About 11,000 more conversations for certainty about that, too.",
    ),
    "few of everything": (
        {"cost": costing(0.005, 20), "errors": share(2, 20), "thumbs": share(10, 20)},
        Outcome.TOO_FEW,
        "Not enough data yet to compare the cost of B. "
        "Not enough data yet on errors and thumbs up.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_says(case: str) -> None:
    sums, outcome, words = CASES[case]

    found = verdict(DESIGN, compared(arm("A", **CONTROL), arm("B", **{**CONTROL, **sums})))

    assert found.text == words
    assert found.arms[0].outcome is outcome
    assert found.is_trusted


def test_errors_that_control_never_has_are_told_without_a_percentage() -> None:
    control = {**CONTROL, "errors": share(0, 3000)}

    found = verdict(
        DESIGN, compared(arm("A", **control), arm("B", **{**control, "errors": share(90, 3000)}))
    )

    assert "But B fails more often: 3% instead of 0%." in found.text


def test_arms_that_differ_by_nothing_worth_seeing_are_alike() -> None:
    many = {"cost": costing(0.01, 60_000)}

    found = verdict(
        DESIGN,
        compared(arm("A", **many), arm("B", **many), arm("C", cost=costing(0.01005, 60_000))),
    )

    assert [one.outcome for one in found.arms] == [Outcome.ALIKE, Outcome.ALIKE]
    assert found.sentences == ("All arms are alike in cost.",)
    assert found.arms[0].sentences[0] == "B and control differ by less than 5% in cost."


def test_a_price_that_is_the_same_for_everybody_is_the_same() -> None:
    fixed = of_each(0.01, times=500)

    found = verdict(DESIGN, compared(arm("A", cost=fixed), arm("B", cost=fixed)))

    assert found.arms[0].outcome is Outcome.ALIKE
    assert found.arms[0].sentences[0] == "B and control are the same in cost."


def test_several_winners_are_not_ranked() -> None:
    arms = [arm(name, **{**CONTROL, "cost": costing(0.007, 3000)}) for name in "BC"]

    found = verdict(DESIGN, compared(arm("A", **CONTROL), *arms))

    assert found.sentences == (
        "B and C are each better than control; that does not tell which of them is best.",
    )


def test_a_split_that_is_not_as_planned_comes_first() -> None:
    split = sample_ratio([Period((3000, 2500), (1, 1))])

    found = verdict(
        DESIGN,
        compared(arm("A", **CONTROL), arm("B", **{**CONTROL, "cost": costing(0.0082, 3000)})),
        split,
    )

    assert not found.is_trusted
    assert found.text.startswith(
        "Do not trust these figures: the arms have 3,000 and 2,500 conversations where 2,750 and "
        "2,750 were expected, which is no chance. Find the cause first. B costs 18% less"
    )


def test_a_fair_split_is_not_spoken_of() -> None:
    split = sample_ratio([Period((3000, 2950), (1, 1))])

    found = verdict(DESIGN, compared(arm("A", **CONTROL), arm("B", **CONTROL)), split)

    assert found.is_trusted
    assert found.sentences == ()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_words_for_both_ways(metric: Metric) -> None:
    name = metric.name
    design = replace(DESIGN, primary=metric, secondary=(), guardrails=frozenset())
    low, high = Sums.per_unit(2000, 400, 400), Sums.per_unit(2000, 800, 800)

    more = verdict(
        design, compared(arm("A", **{name: low}), arm("B", **{name: high}), design=design)
    )
    less = verdict(
        design, compared(arm("A", **{name: high}), arm("B", **{name: low}), design=design)
    )

    assert more.text.startswith(f"B {metric.words.more.format(by='100% ')}")
    assert less.text.startswith(f"B {metric.words.less.format(by='50% ')}")


@pytest.mark.parametrize(
    ("share_of_one", "words"),
    [(0.1834, "18%"), (-0.0417, "4.2%"), (12.5, "1,250%"), (0.0003, "0.03%"), (0, "under 0.01%")],
)
def test_percentages_have_two_digits(share_of_one: float, words: str) -> None:
    assert percent(share_of_one) == words


def test_shares_are_told_apart() -> None:
    assert two_shares(0.14, 0.10) == ("14%", "10%")
    assert two_shares(0.992, 0.987) == ("99.2%", "98.7%")
    assert two_shares(0.0041, 0.0039) == ("0.41%", "0.39%")


def test_a_forecast_is_rounded_up() -> None:
    assert [roughly(count) for count in (7, 43, 1_321, 36_001)] == ["7", "43", "1,400", "37,000"]
