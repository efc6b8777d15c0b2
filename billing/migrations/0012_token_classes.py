from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThanOrEqual

import billing.money

RATES = ("cache_write_1h", "image_input", "image_output")
WORDS = ("cache write for an hour", "image input", "image output")
HELP = ("Empty: not known, and said so.", "Empty: as input.", "Empty: not known, and said so.")
COUNTS = (
    *("attempt", "prompt_version", "input_tokens", "cached_input_tokens", "cache_write_tokens"),
    *("output_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens"),
    *("cache_write_1h_tokens", "image_input_tokens", "image_output_tokens"),
    *("ttft_ms", "duration_ms"),
)
CLASS_RATES = (
    *("input_usd", "cached_input_usd", "cache_write_usd", "output_usd", "reasoning_usd"),
    *("audio_input_usd", "audio_output_usd", "cache_write_1h_usd"),
    *("image_input_usd", "image_output_usd"),
)


def _not_negative(*names: str) -> GreaterThanOrEqual:
    return GreaterThanOrEqual(Least(*names), 0)


RATES_NOT_NEGATIVE = _not_negative(*CLASS_RATES)


class Migration(migrations.Migration):
    """Columns with a default of the table's own are added without writing a single row."""

    dependencies = [("billing", "0011_retention")]

    operations = [
        *(
            migrations.AddField(
                model,
                f"{name}_usd",
                billing.money.UsdField(
                    words, max_digits=20, decimal_places=12, null=True, blank=True, help_text=text
                ),
            )
            for model in ("price", "pricetier")
            for name, words, text in zip(RATES, WORDS, HELP, strict=True)
        ),
        *(
            migrations.AddField(
                "usagerecord", f"{name}_tokens", models.IntegerField(default=0, db_default=0)
            )
            for name in RATES
        ),
        *(
            migrations.AddField(model, f"{name}_tokens", models.BigIntegerField(db_default=0))
            for model in ("usagehour", "usageday")
            for name in RATES
        ),
        migrations.RemoveConstraint("price", "price_not_negative"),
        migrations.AddConstraint(
            "price",
            models.CheckConstraint(
                condition=models.Q(
                    RATES_NOT_NEGATIVE,
                    models.Q(("request_usd", None), ("request_usd__gte", 0), _connector="OR"),
                ),
                name="price_not_negative",
            ),
        ),
        migrations.RemoveConstraint("pricetier", "price_tier_not_negative"),
        migrations.AddConstraint(
            "pricetier",
            models.CheckConstraint(condition=RATES_NOT_NEGATIVE, name="price_tier_not_negative"),
        ),
        # Rows that are there are looked at by the next migration, while calls go on.
        migrations.RemoveConstraint("usagerecord", "usage_not_negative"),
        AddConstraintNotValid(
            "usagerecord",
            models.CheckConstraint(
                condition=models.Q(_not_negative("hold_usd", "cost_usd"), _not_negative(*COUNTS)),
                name="usage_not_negative",
            ),
        ),
    ]
