"""Entries gather only where they are many and calls are long."""

import pytest

from billing.pace import Pace


def paced(entries_a_second: float, call_seconds: float) -> Pace:
    pace = Pace()
    for number in range(200):
        pace.booked(2, number * 2 / entries_a_second)
        pace.took(call_seconds)
    return pace


@pytest.mark.parametrize(
    ("entries_a_second", "call_seconds", "pause"),
    [
        (2_000, 0.2, 0.006),
        (2_000, 30, 0.02),  # no longer, whatever calls take
        (2_000, 0.05, 0),  # not enough would come in 1.5 ms
        (200, 30, 0),
        (1, 30, 0),
    ],
)
def test_what_comes_often_and_takes_long_waits_for_company(
    entries_a_second: float, call_seconds: float, pause: float
) -> None:
    assert paced(entries_a_second, call_seconds).pause() == pytest.approx(pause)


def test_after_a_rest_nothing_is_waited_for() -> None:
    pace = paced(2_000, 30)

    pace.booked(1, 100.0)

    assert pace.pause() == 0
