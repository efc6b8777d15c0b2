"""Prices in time: one at each moment, from whatever moment they are set."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing import prices
from billing.models import Price, PriceTier
from billing.price_json import price_from_json, price_to_json
from billing.prices import changes
from billing.pricing import PriceSnapshot, Tier, worst_case_usd

pytestmark = pytest.mark.django_db

JANUARY, MARCH, MAY = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 3, 5))
FLEX = Tier(input_usd=Decimal("0.5"), output_usd=Decimal(2), service_tier="flex")
LONG = Tier(input_usd=Decimal(2), output_usd=Decimal(6), above_tokens=200_000)
FULL = PriceSnapshot(
    input_usd=Decimal(1),
    output_usd=Decimal(4),
    cached_input_usd=Decimal("0.1"),
    audio_input_usd=Decimal(40),
    request_usd=Decimal("0.01"),
    tiers=(FLEX, LONG),
)


def flat(input_usd: int) -> PriceSnapshot:
    return PriceSnapshot(input_usd=Decimal(input_usd), output_usd=Decimal(0))


def add(price: PriceSnapshot, valid_from: datetime | None = None, model: str = "m") -> Price:
    return prices.add(provider="acme", model=model, price=price, valid_from=valid_from)


def at(moment: datetime) -> PriceSnapshot | None:
    return prices.in_force("acme", "m", moment)


def test_a_price_is_read_with_all_that_was_set() -> None:
    add(FULL)

    assert prices.in_force("acme", "m") == FULL
    assert price_from_json(price_to_json(FULL)) == FULL


def test_a_price_begins_and_ends_where_the_next_one_does() -> None:
    add(flat(1), JANUARY)
    add(flat(3), MAY)
    add(flat(2), MARCH)

    for moment, input_usd in ((JANUARY, 1), (MARCH, 2), (MAY, 3), (timezone.now(), 3)):
        assert at(moment) == flat(input_usd)
    assert at(MARCH - timedelta(microseconds=1)) == flat(1)
    assert at(JANUARY - timedelta(microseconds=1)) is None


def test_a_price_that_is_announced_waits_for_its_day() -> None:
    add(flat(1))
    add(flat(2), timezone.now() + timedelta(days=30))

    assert prices.in_force("acme", "m") == flat(1)


def test_no_second_price_begins_at_the_same_moment() -> None:
    add(flat(1), JANUARY)

    with pytest.raises(prices.PriceBegins):
        add(flat(2), JANUARY)


@pytest.mark.parametrize(("begins", "ends"), [(MARCH, None), (JANUARY, MAY), (MARCH, MAY)])
def test_the_database_refuses_prices_that_overlap(begins: datetime, ends: datetime | None) -> None:
    row: dict[str, Any] = {"provider": "acme", "input_usd": 1, "output_usd": 1}
    Price.objects.create(**row, model="m", valid_from=JANUARY)
    Price.objects.create(**row, model="other", valid_from=begins, valid_to=ends)

    with pytest.raises(IntegrityError, match="price_no_overlap"), transaction.atomic():
        Price.objects.create(**row, model="m", valid_from=begins, valid_to=ends)


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_usd": -1},
        {"output_usd": -1},
        {"reasoning_usd": -1},
        {"audio_output_usd": -1},
        {"request_usd": -1},
    ],
)
def test_the_database_refuses_a_negative_price(wrong: dict[str, int]) -> None:
    row: dict[str, Any] = {"provider": "acme", "model": "m", "input_usd": 1, "output_usd": 1}

    with pytest.raises(IntegrityError, match="price_not_negative"), transaction.atomic():
        Price.objects.create(**{**row, **wrong})


@pytest.mark.parametrize(
    "wrong", [{}, {"service_tier": "flex", "input_usd": -1}, {"above_tokens": -1}]
)
def test_the_database_refuses_a_tier_that_is_none(wrong: dict[str, Any]) -> None:
    price = add(flat(1))
    row: dict[str, Any] = {"price": price, "input_usd": 1, "output_usd": 1}

    with pytest.raises(IntegrityError, match="price_tier_"), transaction.atomic():
        PriceTier.objects.create(**{**row, **wrong})


def worst(price: PriceSnapshot, input_tokens: int, *service_tiers: str) -> Decimal:
    return worst_case_usd(
        price,
        input_tokens=input_tokens,
        max_output_tokens=0,
        service_tiers=service_tiers or None,
    )


def test_the_worst_case_is_at_the_dearest_class_with_the_fee() -> None:
    assert worst(FULL, 1000) == Decimal("0.05")  # 1,000 at 40 for audio, and 0.01


def test_the_worst_case_reckons_with_a_vendor_that_counts_a_little_more() -> None:
    price = PriceSnapshot(input_usd=Decimal(1), output_usd=Decimal(0), tiers=(LONG,))

    assert worst(price, 200_000) == Decimal("0.4")
    assert worst(price, 191_000) == Decimal("0.382")
    assert worst(price, 190_000) == Decimal("0.19")


def test_the_worst_case_is_of_the_service_tiers_that_a_call_can_reach() -> None:
    priority = Tier(input_usd=Decimal(3), output_usd=Decimal(0), service_tier="priority")
    price = PriceSnapshot(input_usd=Decimal(1), output_usd=Decimal(0), tiers=(FLEX, priority))

    asked = {tier: worst(price, 1_000_000, tier) for tier in ("", "flex", "priority", "odd")}

    assert asked == {"": 1, "flex": 1, "priority": 3, "odd": 1}
    assert worst(price, 1_000_000, "flex", "priority") == 3
    assert worst(price, 1_000_000) == 3  # nobody knows which


def test_changes_name_each_rate_before_and_after() -> None:
    found = changes.between(flat(1), FULL)

    told = {(one.service_tier, one.above_tokens, one.label): one.percent for one in found}
    assert told == {
        ("", 0, "Input"): 0,
        ("", 0, "Cached input"): None,
        ("", 0, "Output"): None,
        ("", 0, "Audio input"): None,
        ("", 200_000, "Input"): None,
        ("", 200_000, "Output"): None,
        ("flex", 0, "Input"): None,
        ("flex", 0, "Output"): None,
        ("", 0, "Fee for each call"): None,
    }
    assert changes.largest_percent(found) is None
    assert changes.largest_percent(changes.between(flat(4), flat(3))) == 25
