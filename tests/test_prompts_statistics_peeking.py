"""Whoever looks after each batch of units is wrong no more often than promised.

A small version of `bench/experiments.py`, whose figures stand in docs/experiments.md. Seeds are
fixed, so what is counted here is always the same.
"""

import pytest

from bench.experiments import (
    Scenario,
    cost_of_requests,
    errors_of_requests,
    simulate,
    skewed_cost,
    splits,
    thumbs_of_one,
)
from prompts.statistics.metrics import COST, ERRORS, THUMBS
from prompts.statistics.planning import units_needed
from tests.statistics_support import share

EXPERIMENTS = 100
# What 100 experiments with an error in 5% of them exceed once in a hundred times.
MOST = 0.11


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("skewed", COST, skewed_cost, step=125),
        Scenario("skewed, small arm", COST, skewed_cost, arm_share=0.1, step=125),
        Scenario("uneven units", COST, cost_of_requests, step=125),
        Scenario("rare", ERRORS, errors_of_requests, arm_share=0.3, step=125),
        Scenario("returning", COST, cost_of_requests, units=500, step=20, returning=True),
    ],
    ids=lambda scenario: scenario.name,
)
def test_equal_arms_are_seldom_called_different(scenario: Scenario) -> None:
    tally = simulate(scenario, EXPERIMENTS, seed=5)

    assert tally.certain <= MOST
    assert tally.missed <= MOST
    assert tally.missed_relative <= MOST


def test_the_interval_holds_a_true_difference_and_finds_it() -> None:
    scenario = Scenario("cheaper", COST, skewed_cost, effect=0.6, step=125)

    tally = simulate(scenario, EXPERIMENTS, seed=6)

    assert tally.missed <= MOST
    assert tally.missed_relative <= MOST
    assert tally.certain > 0.8


def test_the_planned_number_of_units_finds_the_difference_it_was_planned_for() -> None:
    baseline = share(100, 1000)  # one in ten, as `thumbs_of_one`
    needed = units_needed(baseline, smallest=0.4)
    assert needed is not None
    total = needed.watched.total
    scenario = Scenario("planned", THUMBS, thumbs_of_one, effect=1.4, units=total, step=total // 20)

    tally = simulate(scenario, EXPERIMENTS, seed=8)

    assert tally.certain > 0.7  # 80% was asked for; of 100 experiments, few have less than 70


def test_a_fair_split_is_seldom_an_alarm() -> None:
    chi_square, sequential = splits(EXPERIMENTS, units=4000, step=200, seed=7)

    assert chi_square <= 0.03
    assert sequential <= chi_square
