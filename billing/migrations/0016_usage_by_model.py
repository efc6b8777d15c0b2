import billing.money
import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

SUMS = (
    *("attempts", "requests", "unpriced", "input_tokens", "cached_input_tokens"),
    *("cache_write_tokens", "output_tokens", "reasoning_tokens", "audio_input_tokens"),
    *("audio_output_tokens", "cache_write_1h_tokens", "image_input_tokens"),
    *("image_output_tokens", "cost_usd", "saved_usd"),
)
BUCKETS = 33
FAILED = "outcome IN ('failed', 'interrupted')"


def _histogram(column: str) -> str:
    only = f"FILTER (WHERE NOT ({FAILED}) AND NOT is_cache_hit)"
    sums = (f"coalesce(sum({column}[{place}]) {only}, 0)" for place in range(1, BUCKETS + 1))
    return f"ARRAY[{', '.join(sums)}]::int[]"


FILL = f"""
INSERT INTO billing_usagemodelday (starts_at, organization_id, provider, model_served,
    {", ".join(SUMS)}, errors, cache_hits, ttft_ms, duration_ms)
SELECT starts_at, organization_id, provider, model_served, {", ".join(f"sum({n})" for n in SUMS)},
    coalesce(sum(attempts) FILTER (WHERE {FAILED}), 0),
    coalesce(sum(attempts) FILTER (WHERE is_cache_hit), 0),
    {_histogram("ttft_ms")}, {_histogram("duration_ms")}
FROM billing_usageday GROUP BY starts_at, organization_id, provider, model_served
"""  # noqa: S608


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_api_key_rights"),
        ("billing", "0015_overrun_of_correction"),
    ]

    operations: list[migrations.operations.base.Operation] = [
        migrations.CreateModel(
            name="UsageModelDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("starts_at", models.DateTimeField()),
                ("provider", models.CharField(max_length=100)),
                ("model_served", models.CharField(max_length=200)),
                ("attempts", models.BigIntegerField()),
                ("requests", models.BigIntegerField()),
                ("unpriced", models.BigIntegerField()),
                ("input_tokens", models.BigIntegerField()),
                ("cached_input_tokens", models.BigIntegerField()),
                ("cache_write_tokens", models.BigIntegerField()),
                ("output_tokens", models.BigIntegerField()),
                ("reasoning_tokens", models.BigIntegerField()),
                ("audio_input_tokens", models.BigIntegerField()),
                ("audio_output_tokens", models.BigIntegerField()),
                ("cache_write_1h_tokens", models.BigIntegerField(db_default=0)),
                ("image_input_tokens", models.BigIntegerField(db_default=0)),
                ("image_output_tokens", models.BigIntegerField(db_default=0)),
                ("cost_usd", billing.money.UsdField(decimal_places=12, max_digits=20)),
                ("saved_usd", billing.money.UsdField(decimal_places=12, max_digits=20)),
                (
                    "ttft_ms",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.IntegerField(), size=None
                    ),
                ),
                (
                    "duration_ms",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.IntegerField(), size=None
                    ),
                ),
                ("errors", models.BigIntegerField()),
                ("cache_hits", models.BigIntegerField()),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["starts_at", "organization"], name="usage_model_day_by_time"
                    )
                ],
            },
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
