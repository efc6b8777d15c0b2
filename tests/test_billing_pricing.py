"""What tokens cost, to the last digit, and which price it is."""

from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async

from billing import prices
from billing.models import Price
from billing.pricing import PriceSnapshot, TokenUsage, cost_usd, worst_case_usd

SONNET = PriceSnapshot(
    input_usd=Decimal(3),
    output_usd=Decimal(15),
    cached_input_usd=Decimal("0.30"),
    cache_write_usd=Decimal("3.75"),
)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (TokenUsage(), "0"),
        (TokenUsage(input_tokens=1), "0.000003"),
        (TokenUsage(input_tokens=1_000_000, output_tokens=1_000_000), "18"),
        (TokenUsage(input_tokens=100, cached_input_tokens=900, output_tokens=50), "0.001320"),
        (TokenUsage(cache_write_tokens=1000), "0.00375"),
        (TokenUsage(output_tokens=10, reasoning_tokens=90), "0.0015"),
    ],
)
def test_each_class_has_its_price(usage: TokenUsage, cost: str) -> None:
    assert cost_usd(SONNET, usage) == Decimal(cost)


def test_cache_classes_without_a_price_cost_as_input() -> None:
    plain = PriceSnapshot(input_usd=Decimal(2), output_usd=Decimal(8))

    usage = TokenUsage(cached_input_tokens=500_000, cache_write_tokens=500_000)

    assert cost_usd(plain, usage) == Decimal(2)


def test_the_worst_case_covers_every_way_a_call_can_end() -> None:
    worst = worst_case_usd(SONNET, input_tokens=1000, max_output_tokens=200)

    for usage in (
        TokenUsage(input_tokens=1000, output_tokens=200),
        TokenUsage(cache_write_tokens=1000, reasoning_tokens=200),
        TokenUsage(cached_input_tokens=1000, output_tokens=1),
    ):
        assert cost_usd(SONNET, usage) <= worst


@pytest.mark.django_db(transaction=True)
async def test_a_new_price_ends_the_one_before_and_is_used_at_once() -> None:
    set_price = sync_to_async(prices.set_price)
    await set_price(provider="acme", model="m", input_usd=Decimal(1), output_usd=Decimal(2))
    assert await prices.price_for("acme", "m") == PriceSnapshot(Decimal(1), Decimal(2))

    await set_price(provider="acme", model="m", input_usd=Decimal(3), output_usd=Decimal(4))

    assert await prices.price_for("acme", "m") == PriceSnapshot(Decimal(3), Decimal(4))
    first, second = [price async for price in Price.objects.order_by("valid_from")]
    assert first.valid_to == second.valid_from
    assert second.valid_to is None


@pytest.mark.django_db(transaction=True)
async def test_a_model_without_a_price_has_none_rather_than_zero() -> None:
    assert await prices.price_for("acme", "unheard-of") is None


@pytest.mark.django_db
def test_the_public_list_prices_a_known_model_once() -> None:
    added = prices.seed_from_catalog("openai", "openai", "gpt-4o-mini")

    assert added is not None
    assert (added.input_usd, added.output_usd) == (Decimal("0.15"), Decimal("0.6"))
    assert added.source == prices.CATALOG
    assert prices.seed_from_catalog("openai", "openai", "gpt-4o-mini") is None
    assert prices.seed_from_catalog("openai", "openai", "no-such-model") is None
    assert prices.seed_from_catalog("own", None, "gpt-4o-mini") is None
    assert Price.objects.count() == 1
