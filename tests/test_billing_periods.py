"""Calendar periods, where calendars are hard."""

from datetime import UTC, datetime

import pytest

from billing.periods import BEGINNING, Period, period_at


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "kind", "zone", "starts", "ends"),
    [
        ("2026-11-21T08:00", "day", "UTC", "2026-11-21T00:00", "2026-11-22T00:00"),
        ("2026-11-21T08:00", "week", "UTC", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("2026-11-21T08:00", "month", "UTC", "2026-11-01T00:00", "2026-12-01T00:00"),
        # The year's end, and the last moment of a month.
        ("2026-12-31T23:59", "month", "UTC", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("2027-01-01T00:00", "week", "UTC", "2026-12-28T00:00", "2027-01-04T00:00"),
        # It is already tomorrow in Auckland, and still last month in New York.
        ("2026-11-21T12:00", "day", "Pacific/Auckland", "2026-11-21T11:00", "2026-11-22T11:00"),
        ("2026-12-01T02:00", "month", "America/New_York", "2026-11-01T04:00", "2026-12-01T05:00"),
        # The days on which Berlin's clocks change have 23 and 25 hours.
        ("2026-03-29T12:00", "day", "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("2026-10-25T12:00", "day", "Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00"),
    ],
)
def test_a_period_follows_the_calendar_of_its_zone(
    moment: str, kind: str, zone: str, starts: str, ends: str
) -> None:
    period = period_at(utc(moment), kind=kind, time_zone=zone)

    assert period == Period(utc(starts), utc(ends))


def test_a_period_ends_where_the_next_begins() -> None:
    first = period_at(utc("2026-02-10T00:00"), kind="month", time_zone="Asia/Tokyo")
    assert first.ends_at is not None

    following = period_at(first.ends_at, kind="month", time_zone="Asia/Tokyo")

    assert following.starts_at == first.ends_at


def test_a_total_never_ends() -> None:
    assert period_at(utc("2026-11-21T08:00"), kind="total", time_zone="UTC") == Period(
        BEGINNING, None
    )
