"""A worked table: what calls cost to the last digit, with the arithmetic of each in millionths."""

from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

import pytest

from billing.cost_steps import explain
from billing.price_json import price_from_json, price_to_json
from billing.pricing import PriceSnapshot, Tier, TokenUsage, cost_usd, unknown_to, worst_case_usd


def price(input_usd: str, output_usd: str, **more: Any) -> PriceSnapshot:
    return PriceSnapshot(**rates(input_usd, output_usd, **more))


def tier(input_usd: str, output_usd: str, **more: Any) -> Tier:
    return Tier(**rates(input_usd, output_usd, **more))


def rates(input_usd: str, output_usd: str, **more: Any) -> dict[str, Any]:
    amounts = {"input_usd": input_usd, "output_usd": output_usd, **more}
    return {
        name: Decimal(value) if isinstance(value, str) and name.endswith("_usd") else value
        for name, value in amounts.items()
    }


OPENAI = price("2.50", "10", cached_input_usd="1.25")
REASONER = price("1.10", "4.40", cached_input_usd="0.55", reasoning_usd="8.80")
CLAUDE = price("3", "15", cached_input_usd="0.30", cache_write_usd="3.75")
HOURLY = price(
    *("3", "15"),
    cached_input_usd="0.30",
    cache_write_usd="3.75",
    cache_write_1h_usd="6",
    tiers=(
        tier("6", "22.50", cache_write_usd="7.50", cache_write_1h_usd="12", above_tokens=200_000),
        tier("1.50", "7.50", cache_write_1h_usd="3", service_tier="batch"),
    ),
)
SEEING = price("4", "16", cached_input_usd="0.40", image_input_usd="5")
DRAWING = price("0.30", "2.50", image_output_usd="30")
LONG = price(
    *("1.25", "10"),
    cached_input_usd="0.125",
    tiers=(
        tier("2.50", "15", cached_input_usd="0.25", above_tokens=200_000),
        tier("5", "20", above_tokens=500_000),
    ),
)
SERVED = price(
    *("5", "30"),
    cached_input_usd="0.50",
    tiers=(
        tier("2.50", "15", cached_input_usd="0.25", service_tier="batch"),
        tier("2.50", "15", cached_input_usd="0.25", service_tier="flex"),
        tier("12.50", "75", cached_input_usd="1.25", service_tier="priority"),
        tier("10", "45", cached_input_usd="1", above_tokens=272_000),
        tier("5", "22.50", cached_input_usd="0.50", service_tier="flex", above_tokens=272_000),
    ),
)
SPEAKING = price("2.50", "10", audio_input_usd="40", audio_output_usd="80")
SONAR = price("1", "1", request_usd="0.012")
FINE = price("0.0000001", "0.000000000001")

Row = tuple[PriceSnapshot, dict[str, int], str, str, str]

# price, tokens by class, service tier, its arithmetic in millionths of a dollar, the cost
TABLE: list[Row] = [
    # Nothing, and the smallest things.
    (OPENAI, {}, "", "0*2.50", "0"),
    (OPENAI, {"input_tokens": 1}, "", "1*2.50", "0.0000025"),
    (OPENAI, {"output_tokens": 1}, "", "1*10", "0.00001"),
    # OpenAI: cached input is a subset of the input, taken out of it: 1,000 of which 900 are cached.
    (
        *(OPENAI, {"input_tokens": 100, "cached_input_tokens": 900, "output_tokens": 50}, ""),
        *("100*2.50 + 900*1.25 + 50*10", "0.001875"),
    ),
    (OPENAI, {"cached_input_tokens": 1_000}, "", "1000*1.25", "0.00125"),
    # A write to the cache without a price of its own costs as input.
    (OPENAI, {"input_tokens": 10, "cache_write_tokens": 90}, "", "10*2.50 + 90*2.50", "0.00025"),
    # Reasoning is a subset of the output: 500 of which 400 are reasoning, at one price or at two.
    (
        *(OPENAI, {"input_tokens": 20, "output_tokens": 100, "reasoning_tokens": 400}, ""),
        *("20*2.50 + 100*10 + 400*10", "0.00505"),
    ),
    (
        *(REASONER, {"input_tokens": 20, "output_tokens": 100, "reasoning_tokens": 400}, ""),
        *("20*1.10 + 100*4.40 + 400*8.80", "0.003982"),
    ),
    # Anthropic: reads from and writes to the cache come on top of the input.
    (
        CLAUDE,
        {
            **{"input_tokens": 21, "cached_input_tokens": 188_086},
            **{"cache_write_tokens": 2_048, "output_tokens": 393},
        },
        *("", "21*3 + 188086*0.30 + 2048*3.75 + 393*15", "0.0700638"),
    ),
    (CLAUDE, {"cache_write_tokens": 1}, "", "1*3.75", "0.00000375"),
    (CLAUDE, {"cached_input_tokens": 1}, "", "1*0.30", "0.0000003"),
    # Written for an hour, beside what is written for five minutes; without a rate of its own as
    # that (and said to be unknown), and without any as input.
    (
        HOURLY,
        {
            **{"input_tokens": 21, "cached_input_tokens": 1_000, "cache_write_tokens": 456},
            **{"cache_write_1h_tokens": 148, "output_tokens": 393},
        },
        *("", "21*3 + 1000*0.30 + 456*3.75 + 148*6 + 393*15", "0.008856"),
    ),
    (HOURLY, {"cache_write_1h_tokens": 1}, "", "1*6", "0.000006"),
    # It counts for the threshold; a tier that does not know it has its own stand-in.
    (
        *(HOURLY, {"input_tokens": 1, "cache_write_1h_tokens": 200_000}),
        *("", "1*6 + 200000*12", "2.400006"),
    ),
    (HOURLY, {"cache_write_1h_tokens": 200_000}, "", "200000*6", "1.2"),
    (
        *(HOURLY, {"cache_write_tokens": 100, "cache_write_1h_tokens": 100}),
        *("batch", "100*1.50 + 100*3", "0.00045"),
    ),
    (CLAUDE, {"cache_write_1h_tokens": 100}, "", "100*3.75", "0.000375"),
    (OPENAI, {"cache_write_1h_tokens": 100}, "", "100*2.50", "0.00025"),
    # Pictures at a rate of their own, or as text; 1,200 of input of which 300 are cached.
    (
        SEEING,
        {
            **{"input_tokens": 135, "cached_input_tokens": 300, "image_input_tokens": 765},
            **{"output_tokens": 10},
        },
        *("", "135*4 + 300*0.40 + 765*5 + 10*16", "0.004645"),
    ),
    (
        *(OPENAI, {"input_tokens": 135, "image_input_tokens": 765, "output_tokens": 10}),
        *("", "135*2.50 + 765*2.50 + 10*10", "0.00235"),
    ),
    (
        *(LONG, {"input_tokens": 1, "image_input_tokens": 200_000}),
        *("", "1*2.50 + 200000*2.50", "0.5000025"),
    ),
    # A picture that is made: 1,290 tokens of it, and some words.
    (
        *(DRAWING, {"input_tokens": 7, "output_tokens": 5, "image_output_tokens": 1_290}),
        *("", "7*0.30 + 5*2.50 + 1290*30", "0.0387146"),
    ),
    (
        *(OPENAI, {"output_tokens": 5, "image_output_tokens": 1_290}),
        *("", "5*10 + 1290*10", "0.01295"),
    ),
    # A million of each class.
    (
        CLAUDE,
        {
            **{"input_tokens": 1_000_000, "cached_input_tokens": 1_000_000},
            **{"cache_write_tokens": 1_000_000, "output_tokens": 1_000_000},
        },
        *("", "1000000*3 + 1000000*0.30 + 1000000*3.75 + 1000000*15", "22.05"),
    ),
    # Context tiers: at the threshold the lower rates, one token above it the higher, for all of it.
    (
        *(LONG, {"input_tokens": 200_000, "output_tokens": 1_000}, ""),
        *("200000*1.25 + 1000*10", "0.26"),
    ),
    (
        *(LONG, {"input_tokens": 200_001, "output_tokens": 1_000}, ""),
        *("200001*2.50 + 1000*15", "0.5150025"),
    ),
    # The whole input counts for the threshold, the cached part too; the output does not.
    (
        LONG,
        {"input_tokens": 1, "cached_input_tokens": 200_000, "output_tokens": 10},
        *("", "1*2.50 + 200000*0.25 + 10*15", "0.0501525"),
    ),
    (
        *(LONG, {"input_tokens": 199_999, "output_tokens": 400_000}, ""),
        *("199999*1.25 + 400000*10", "4.24999875"),
    ),
    (LONG, {"input_tokens": 500_000}, "", "500000*2.50", "1.25"),
    # The last tier has no rate for cached input: it costs as that tier's input.
    (
        LONG,
        {"input_tokens": 500_000, "cached_input_tokens": 1},
        *("", "500000*5 + 1*5", "2.500005"),
    ),
    # Batch and service tiers have rates of their own.
    (
        SERVED,
        {"input_tokens": 1_000, "output_tokens": 200},
        *("", "1000*5 + 200*30", "0.011"),
    ),
    (
        SERVED,
        {"input_tokens": 1_000, "output_tokens": 200},
        *("batch", "1000*2.50 + 200*15", "0.0055"),
    ),
    (
        SERVED,
        {"input_tokens": 600, "cached_input_tokens": 400, "output_tokens": 200},
        *("flex", "600*2.50 + 400*0.25 + 200*15", "0.0046"),
    ),
    (
        SERVED,
        {"input_tokens": 600, "cached_input_tokens": 400, "output_tokens": 200},
        *("priority", "600*12.50 + 400*1.25 + 200*75", "0.023"),
    ),
    # A service tier with a threshold, one without, and the ordinary one, all above it.
    (
        *(SERVED, {"input_tokens": 272_001, "output_tokens": 10}),
        *("flex", "272001*5 + 10*22.50", "1.36023"),
    ),
    (
        *(SERVED, {"input_tokens": 272_001, "output_tokens": 10}),
        *("priority", "272001*12.50 + 10*75", "3.4007625"),
    ),
    (
        *(SERVED, {"input_tokens": 272_001, "output_tokens": 10}),
        *("", "272001*10 + 10*45", "2.72046"),
    ),
    # A tier that the price does not know costs as the ordinary one (and is said to be unknown).
    (SERVED, {"input_tokens": 1_000}, "scale", "1000*5", "0.005"),
    # Audio at its own rates; without a rate as text (and is said to be unknown).
    (
        SPEAKING,
        {
            **{"input_tokens": 30, "audio_input_tokens": 120},
            **{"output_tokens": 25, "audio_output_tokens": 75},
        },
        *("", "30*2.50 + 120*40 + 25*10 + 75*80", "0.011125"),
    ),
    (OPENAI, {"audio_input_tokens": 100}, "", "100*2.50", "0.00025"),
    # A fee for each call: 0.012 dollars are 12,000 millionths.
    (
        *(SONAR, {"input_tokens": 7, "output_tokens": 11}, ""),
        *("7*1 + 11*1 + 12000", "0.012018"),
    ),
    (SONAR, {}, "", "12000", "0.012"),
    # The twelfth digit is rounded up, whatever follows it: 3 * 10^-13 become 10^-12.
    (FINE, {"input_tokens": 3}, "", "3*0.0000001", "0.000000000001"),
    (FINE, {"input_tokens": 10}, "", "10*0.0000001", "0.000000000001"),
    (FINE, {"input_tokens": 11}, "", "11*0.0000001", "0.000000000002"),
    (FINE, {"output_tokens": 1}, "", "1*0.000000000001", "0.000000000001"),
    # More digits than 28, which Python's decimals have unless told otherwise: none is lost.
    (
        *(price("99999999.999999999999", "0"), {"input_tokens": 2_147_483_647}, ""),
        *("2147483647*99999999.999999999999", "214748364699.999999997853"),
    ),
]


@pytest.mark.parametrize(("rated", "tokens", "service_tier", "arithmetic", "cost"), TABLE)
def test_a_call_costs_what_the_table_says(
    rated: PriceSnapshot, tokens: dict[str, int], service_tier: str, arithmetic: str, cost: str
) -> None:
    usage = TokenUsage(**tokens)

    charged = cost_usd(rated, usage, service_tier)

    assert charged == Decimal(cost)
    assert charged == rounded_up(arithmetic)


@pytest.mark.parametrize(("rated", "tokens", "service_tier", "arithmetic", "cost"), TABLE)
def test_the_steps_that_are_shown_add_up_to_the_cost(
    rated: PriceSnapshot, tokens: dict[str, int], service_tier: str, arithmetic: str, cost: str
) -> None:
    explained = explain(rated, TokenUsage(**tokens), service_tier)

    assert explained.cost_usd == Decimal(cost)
    assert Fraction(explained.unrounded_usd) == sum(
        Fraction(step.cost_usd) for step in explained.steps
    )
    assert explained.unrounded_usd <= explained.cost_usd


@pytest.mark.parametrize(("rated", "tokens", "service_tier", "arithmetic", "cost"), TABLE)
def test_a_recorded_price_gives_the_same_cost_again(
    rated: PriceSnapshot, tokens: dict[str, int], service_tier: str, arithmetic: str, cost: str
) -> None:
    recorded = price_from_json(price_to_json(rated))

    assert recorded == rated
    assert cost_usd(recorded, TokenUsage(**tokens), service_tier) == Decimal(cost)


@pytest.mark.parametrize(("rated", "tokens", "service_tier", "arithmetic", "cost"), TABLE)
def test_no_call_costs_more_than_its_worst_case(
    rated: PriceSnapshot, tokens: dict[str, int], service_tier: str, arithmetic: str, cost: str
) -> None:
    usage = TokenUsage(**tokens)

    sizes: Any = {"input_tokens": usage.total_input, "max_output_tokens": usage.total_output}

    assert worst_case_usd(rated, **sizes) >= Decimal(cost)
    assert worst_case_usd(rated, **sizes, service_tiers=(service_tier,)) >= Decimal(cost)


@pytest.mark.parametrize(
    ("rated", "tokens", "service_tier", "unknown"),
    [
        (SERVED, {"input_tokens": 1}, "scale", ("service tier scale",)),
        (SERVED, {"input_tokens": 1}, "flex", ()),
        (SERVED, {"input_tokens": 1}, "", ()),
        (OPENAI, {"audio_input_tokens": 1}, "", ("audio input",)),
        (OPENAI, {"audio_output_tokens": 1}, "flex", ("service tier flex", "audio output")),
        (SPEAKING, {"audio_input_tokens": 1, "audio_output_tokens": 1}, "", ()),
        (CLAUDE, {"cache_write_1h_tokens": 1}, "", ("cache write for an hour",)),
        (HOURLY, {"cache_write_1h_tokens": 1, "cache_write_tokens": 1}, "batch", ()),
        (OPENAI, {"image_input_tokens": 1}, "", ()),  # as text, with most vendors
        (OPENAI, {"image_output_tokens": 1}, "", ("image output",)),
        (DRAWING, {"image_output_tokens": 1}, "", ()),
    ],
)
def test_what_a_price_has_no_rate_for_is_named(
    rated: PriceSnapshot, tokens: dict[str, int], service_tier: str, unknown: tuple[str, ...]
) -> None:
    assert unknown_to(rated, TokenUsage(**tokens), service_tier) == unknown


def test_a_price_that_was_recorded_before_there_were_further_classes_still_reads() -> None:
    recorded = {"input_usd": "3", "output_usd": "15", "cache_write_usd": "3.75"}

    read = price_from_json(recorded)

    assert read == price("3", "15", cache_write_usd="3.75")
    assert price_to_json(read) == recorded


def rounded_up(arithmetic: str) -> Decimal:
    """Return what sums and products of millionths come to, worked out without our code."""
    millionths = Fraction(0)
    for product in arithmetic.split(" + "):
        factors = product.split("*")
        millionths += Fraction(factors[0]) * Fraction(factors[1] if len(factors) > 1 else 1)
    return Decimal(ceil(millionths * 10**6)).scaleb(-12)
