"""Quantiles from buckets, the scale of a chart, and values as people read them."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.currency import Money
from billing.reports import charts
from billing.reports.histograms import BOUNDS_MS, SIZE, quantile_ms
from billing.reports.tables import Kind, shown


def counts(times: list[int]) -> list[int]:
    """Return the buckets as PostgreSQL's `width_bucket` fills them."""
    buckets = [0] * SIZE
    for time in times:
        buckets[sum(bound <= time for bound in BOUNDS_MS)] += 1
    return buckets


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # on a busy machine
@given(st.lists(st.integers(10, 400_000), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_never_further_off_than_a_bucket(times: list[int], share: float) -> None:
    rank = max(1, -int(-share * len(times) // 1))  # the nearest rank
    true = sorted(times)[rank - 1]

    found = quantile_ms(counts(times), share)

    assert found is not None
    assert true / 2**0.5 - 1 <= found <= true * 2**0.5 + 1


def test_nothing_has_no_quantile() -> None:
    assert quantile_ms([0] * SIZE, 0.5) is None


def test_what_took_longer_than_all_buckets_took_at_least_so_long() -> None:
    assert quantile_ms(counts([10_000_000]), 0.5) == round(BOUNDS_MS[-1])


@pytest.mark.parametrize(
    ("values", "top"),
    [([], 1), ([0], 1), ([3], 4), ([0.07], 0.08), ([Decimal("950")], 1000), ([100], 100)],
)
def test_a_scale_ends_at_a_round_number(values: list[float], top: float) -> None:
    assert charts.nice_top(values) == pytest.approx(top)


def test_parts_of_a_bar_stand_on_each_other() -> None:
    (bar,) = charts.bars([[1, 0, 3]], ["day"], 4)

    assert [(part.y, part.height, part.series) for part in bar.segments] == [
        (150, 50, 0),
        (0, 150, 2),
    ]


def test_an_unknown_value_breaks_a_line() -> None:
    (line,) = charts.lines([[1, 1, None, 1, 1]], list("abcde"), 1)

    assert len(line.points) == 2
    assert len(line.dots) == 4


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, Kind.MONEY, "–"),
        (Money(Decimal("0.07")), Kind.MONEY, "$0.07"),
        (Money(Decimal(1), Decimal("0.9"), "€"), Kind.MONEY, "€0.90"),
        (Money(Decimal("0.07")), Kind.SIGNED, "+$0.07"),
        (Money(Decimal("-0.07")), Kind.SIGNED, "-$0.07"),
        (1234567, Kind.COUNT, "1,234,567"),
        (0.1234, Kind.SHARE, "12.3%"),
        (1.5, Kind.CHANGE, "+150%"),
        (999, Kind.TIME, "999 ms"),
        (1240, Kind.TIME, "1.2 s"),
    ],
)
def test_values_are_written_for_people(value: object, kind: Kind, text: str) -> None:
    assert shown(value, kind) == text
