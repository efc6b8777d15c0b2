"""Whoever looks after each batch of units is wrong no more often than promised.

A small version of `bench/experiments.py`, whose figures stand in docs/experiments.md. Seeds are
fixed, so what is counted here is always the same.
"""

import pytest

from bench.experiments import Scenario, cost_of_requests, simulate, skewed_cost, splits
from bench.experiments import errors_of_requests as errors
from prompts.statistics.metrics import COST, ERRORS

EXPERIMENTS = 100
# What 100 experiments with an error in 5% of them exceed once in a hundred times.
MOST = 0.11


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("skewed", COST, skewed_cost, step=125),
        Scenario("skewed, small arm", COST, skewed_cost, arm_share=0.1, step=125),
        Scenario("uneven units", COST, cost_of_requests, step=125),
        Scenario("rare", ERRORS, errors, arm_share=0.3, step=125),
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


def test_a_fair_split_is_seldom_an_alarm() -> None:
    chi_square, sequential = splits(EXPERIMENTS, units=4000, step=200, seed=7)

    assert chi_square <= 0.03
    assert sequential <= chi_square
