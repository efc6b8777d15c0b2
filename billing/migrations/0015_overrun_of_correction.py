import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0013_ledger")]

    operations: list[migrations.operations.base.Operation] = [
        migrations.AlterField(
            model_name="overrun", name="usage_id", field=models.UUIDField(null=True)
        ),
        migrations.AddField(
            model_name="overrun",
            name="correction",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="overruns",
                to="billing.correction",
            ),
        ),
        migrations.AddConstraint(
            model_name="overrun",
            constraint=models.UniqueConstraint(
                fields=("correction", "period"), name="overrun_of_correction_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="overrun",
            constraint=models.CheckConstraint(
                condition=models.Q(usage_id=None) ^ models.Q(correction=None),
                name="overrun_has_one_cause",
            ),
        ),
    ]
