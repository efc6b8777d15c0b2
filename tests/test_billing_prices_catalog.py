"""What is read of the public list, and what is warned of, on lists made up for it."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import data_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from billing.prices import catalog
from billing.prices.catalog import Listed
from billing.pricing import PriceSnapshot
from billing.pricing import Tier as OurTier

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 21, 2, tzinfo=UTC)
ListModel = Callable[..., None]


@pytest.fixture
def listed() -> Iterator[ListModel]:
    """Put one model on a list of its own, in the place of the public one."""

    def put(name: str = "m", **model: Any) -> None:
        info = ModelInfo(id=name, match=ClauseEquals(name), **model)
        vendor = Provider(id="acme", name="Acme", api_pattern="acme", models=[info])
        data_snapshot.set_custom_snapshot(
            data_snapshot.DataSnapshot(providers=[vendor], from_auto_update=False)
        )

    yield put
    data_snapshot.set_custom_snapshot(None)


def amounts(
    input_mtok: str | TieredPrices, output_mtok: str | TieredPrices, **more: Any
) -> ModelPrice:
    given = {"input_mtok": input_mtok, "output_mtok": output_mtok, **more}
    return ModelPrice(
        **{key: Decimal(usd) if isinstance(usd, str) else usd for key, usd in given.items()}
    )


def read(name: str = "m", at: datetime = NOON) -> Listed:
    found = catalog.read("acme", name, at)
    assert found is not None
    return found


def test_every_class_and_the_fee_are_read(listed: ListModel) -> None:
    listed(
        prices=amounts(
            *("1", "4"),
            cache_read_mtok="0.10",
            cache_write_mtok="1.25",
            output_reasoning_mtok="6",
            input_audio_mtok="40",
            output_audio_mtok="80",
            requests_kcount="12",
        ),
        price_comments="As the vendor says.",
    )

    assert read() == Listed(
        PriceSnapshot(
            input_usd=Decimal(1),
            output_usd=Decimal(4),
            cached_input_usd=Decimal("0.1"),
            cache_write_usd=Decimal("1.25"),
            reasoning_usd=Decimal(6),
            audio_input_usd=Decimal(40),
            audio_output_usd=Decimal(80),
            request_usd=Decimal("0.012"),
        ),
        (),
        "As the vendor says.",
    )


def test_a_tier_has_all_rates_also_those_that_stay_the_same(listed: ListModel) -> None:
    tiered = TieredPrices(Decimal(1), [Tier(200_000, Decimal(2)), Tier(500_000, Decimal(3))])
    listed(prices=amounts(tiered, "4", cache_read_mtok="0.1"))

    assert read().price.tiers == tuple(
        OurTier(
            input_usd=Decimal(usd),
            output_usd=Decimal(4),
            cached_input_usd=Decimal("0.1"),
            above_tokens=above,
        )
        for above, usd in ((200_000, 2), (500_000, 3))
    )


def test_service_tiers_and_batch_take_what_they_do_not_say_from_the_ordinary(
    listed: ListModel,
) -> None:
    begun, to_come = date(2026, 10, 1), date(2027, 1, 1)
    listed(
        prices=amounts("2", "8", cache_read_mtok="0.2"),
        price_variants=[
            PriceVariant({"service_tier": "default"}, ModelPrice()),
            PriceVariant({"service_tier": "flex"}, amounts("1", "4"), StartDateConstraint(begun)),
            PriceVariant({"processing": "batch"}, ModelPrice(output_mtok=Decimal(3))),
            PriceVariant({"service_tier": "late"}, amounts("9", "9"), StartDateConstraint(to_come)),
        ],
    )

    found = {tier.service_tier: tier for tier in read().price.tiers}

    assert {name: (tier.input_usd, tier.output_usd) for name, tier in found.items()} == {
        "flex": (Decimal(1), Decimal(4)),
        "batch": (Decimal(2), Decimal(3)),
    }
    assert {tier.cached_input_usd for tier in found.values()} == {Decimal("0.2")}


def test_a_price_by_the_hour_is_the_dearest_at_any_hour_and_warned_of(listed: ListModel) -> None:
    by_night = TimeOfDateConstraint(time(1, tzinfo=UTC), time(4, tzinfo=UTC))
    listed(
        prices=[
            ConditionalPrice(None, prices=amounts("9", "9")),
            ConditionalPrice(StartDateConstraint(date(2026, 9, 1)), prices=amounts("1", "2")),
            ConditionalPrice(by_night, prices=amounts("2", "1")),
        ]
    )

    by_day = read()

    assert (by_day.price.input_usd, by_day.price.output_usd) == (Decimal(2), Decimal(2))
    assert by_day.warnings == (
        "Costs depend on the time of the day (UTC 01:00-04:00); these are the dearest.",
    )
    assert read(at=NIGHT) == by_day


def test_a_speaking_model_without_rates_for_audio_is_warned_of(listed: ListModel) -> None:
    listed("m-audio-preview", prices=amounts("2.5", "10", input_audio_mtok="40"))

    assert read("m-audio-preview").warnings == (
        "The list has no rate for audio output: it would cost as text.",
    )


def test_conditions_and_classes_that_are_not_used_are_warned_of(listed: ListModel) -> None:
    listed(
        prices=amounts("1", "2", input_video_mtok="5"),
        price_variants=[PriceVariant({"route": "eu"}, amounts("2", "3"))],
    )

    assert read().warnings == (
        "There is another price for route eu, which is not used.",
        "The list has a rate for video that is sent ($5), which is not used.",
    )


def test_pictures_and_writes_for_an_hour_have_rates_of_their_own(listed: ListModel) -> None:
    listed(
        prices=amounts(
            "1",
            TieredPrices(base=Decimal(2), tiers=[Tier(start=100, price=Decimal(3))]),
            cache_write_1h_mtok="2",
            input_image_mtok="5",
            output_image_mtok="30",
        )
    )

    found = read()

    assert found.warnings == ()
    for rates in (found.price, *found.price.tiers):
        assert rates.cache_write_1h_usd == Decimal(2)
        assert (rates.image_input_usd, rates.image_output_usd) == (Decimal(5), Decimal(30))


def test_what_cannot_be_priced_by_tokens_has_no_price(listed: ListModel) -> None:
    listed("whisper", prices=ModelPrice(audio_hours=Decimal("0.1")))

    assert catalog.read("acme", "whisper", NOON) is None
    assert catalog.read("acme", "unheard-of", NOON) is None
    assert catalog.read(None, "whisper", NOON) is None


def test_an_embedding_model_gives_its_output_for_nothing(listed: ListModel) -> None:
    listed("m-embed", prices=ModelPrice(input_mtok=Decimal("0.02")))

    assert read("m-embed").price == PriceSnapshot(Decimal("0.02"), Decimal(0))


def test_the_public_list_itself_is_understood() -> None:
    """No model of the vendors that are offered has a tier without a threshold or a name."""
    snapshot = data_snapshot.get_snapshot()
    vendors = {"openai", "anthropic", "google", "mistral", "groq", "deepseek", "azure"}
    read_count = 0
    for vendor in snapshot.providers:
        for model in vendor.models if vendor.id in vendors else ():
            found = catalog.read(vendor.id, model.id, NOON)
            if found is None:
                continue
            read_count += 1
            for tier in found.price.tiers:
                assert found.price.knows(tier.service_tier)
                assert tier.service_tier or tier.above_tokens

    assert read_count > 100
