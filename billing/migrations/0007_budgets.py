import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.lookups
from django.db import migrations, models

import billing.money
import billing.tags

PEAK_SO_FAR = "UPDATE billing_budgetperiod SET peak_usd = spent_usd + held_usd"


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_prices")]

    operations: list[migrations.operations.base.Operation] = [
        migrations.AlterField(
            model_name="budget",
            name="api_key",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="budgets",
                to="accounts.apikey",
                verbose_name="API key",
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="prompt_name",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The prompt's name, as calls ask for it; empty: every call.",
                max_length=100,
                verbose_name="prompt",
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="model",
            field=models.CharField(
                blank=True,
                default="",
                help_text="The name that calls ask for, such as a route's; empty: every call.",
                max_length=200,
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="tag",
            field=models.CharField(
                blank=True,
                default="",
                help_text="One of the tags that programs send in X-Parley-Tags; empty: every call.",
                max_length=50,
                validators=[billing.tags.validate_tag],
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="is_active",
            field=models.BooleanField(
                default=True,
                help_text="An inactive budget only counts: it refuses nothing.",
                verbose_name="active",
            ),
        ),
        migrations.AlterField(
            model_name="budget",
            name="is_hard",
            field=models.BooleanField(
                default=True,
                help_text="A hard budget refuses; a soft one counts and warns.",
                verbose_name="hard",
            ),
        ),
        migrations.AddField(
            model_name="budgetperiod",
            name="overrun_usd",
            field=billing.money.UsdField(decimal_places=12, default=0, max_digits=20),
        ),
        migrations.AddField(
            model_name="budgetperiod",
            name="peak_usd",
            field=billing.money.UsdField(decimal_places=12, default=0, max_digits=20),
        ),
        migrations.RunSQL(PEAK_SO_FAR, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="budgetperiod",
            constraint=models.CheckConstraint(
                condition=django.db.models.lookups.LessThanOrEqual(
                    django.db.models.expressions.CombinedExpression(
                        models.F("spent_usd"), "+", models.F("held_usd")
                    ),
                    django.db.models.expressions.CombinedExpression(
                        models.F("peak_usd"), "+", models.F("overrun_usd")
                    ),
                ),
                name="budget_period_admitted",
            ),
        ),
        migrations.CreateModel(
            name="Overrun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("usage_id", models.UUIDField()),
                ("held_usd", billing.money.UsdField(decimal_places=12, max_digits=20)),
                ("cost_usd", billing.money.UsdField(decimal_places=12, max_digits=20)),
                ("over_usd", billing.money.UsdField(decimal_places=12, max_digits=20)),
                ("created_at", models.DateTimeField()),
                (
                    "period",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="overruns",
                        to="billing.budgetperiod",
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        migrations.AddConstraint(
            model_name="overrun",
            constraint=models.UniqueConstraint(
                fields=("usage_id", "period"), name="overrun_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="overrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("over_usd__gt", 0),
                    (
                        "over_usd",
                        django.db.models.expressions.CombinedExpression(
                            models.F("cost_usd"), "-", models.F("held_usd")
                        ),
                    ),
                ),
                name="overrun_is_the_difference",
            ),
        ),
        migrations.CreateModel(
            name="BookCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("night", models.DateField(null=True, unique=True)),
                ("started_at", models.DateTimeField()),
                ("duration_ms", models.IntegerField(verbose_name="duration, ms")),
                ("difference_count", models.IntegerField(verbose_name="differences")),
                (
                    "lines",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), default=list, size=None
                    ),
                ),
            ],
            options={"ordering": ["-started_at"]},
        ),
    ]
