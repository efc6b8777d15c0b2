"""Whether units came to the arms as planned."""

import pytest

from prompts.statistics.sample_ratio import Period, sample_ratio

EQUAL = (1.0, 1.0)


def test_a_split_by_chance_is_no_alarm() -> None:
    found = sample_ratio([Period((5050, 4950), EQUAL)])

    assert not found.is_alarm
    assert found.expected == (5000, 5000)
    assert found.p_value_any_time == 1.0


def test_lost_units_are_an_alarm() -> None:
    found = sample_ratio([Period((5000, 4600), EQUAL)])

    assert found.is_alarm
    assert found.p_value is not None
    assert found.p_value < 0.0001
    assert found.p_value_any_time < 0.05


def test_a_ramp_is_compared_with_the_weights_of_each_time() -> None:
    """5% of a thousand, then half of a thousand: that is not half of two thousand."""
    ramp = [Period((950, 50), (95, 5)), Period((500, 500), (50, 50))]

    assert not sample_ratio(ramp).is_alarm
    assert sample_ratio(ramp).expected == (1450, 550)
    assert sample_ratio([Period((1450, 550), (50, 50))]).is_alarm


def test_errors_that_cancel_out_over_time_are_found_by_the_sequential_test() -> None:
    periods = [Period((700, 300), EQUAL), Period((300, 700), EQUAL)]

    found = sample_ratio(periods)

    assert not found.is_alarm
    assert found.p_value_any_time < 0.001


def test_a_unit_in_an_arm_without_weight_is_an_alarm() -> None:
    found = sample_ratio([Period((100, 100, 1), (50, 50, 0))])

    assert found.is_alarm
    assert found.p_value_any_time == 0.0


def test_an_arm_without_weight_and_without_units_is_left_out() -> None:
    with_it = sample_ratio([Period((520, 480, 0), (50, 50, 0))])

    assert with_it.p_value == sample_ratio([Period((520, 480), EQUAL)]).p_value


@pytest.mark.parametrize(
    "period",
    [
        Period((0, 0), EQUAL),
        Period((9, 0), EQUAL),
        Period((500,), (1.0,)),
        Period((0, 0), (0.0, 0.0)),
    ],
)
def test_of_few_units_or_one_arm_nothing_is_said(period: Period) -> None:
    found = sample_ratio([period])

    assert found.p_value is None
    assert not found.is_alarm
