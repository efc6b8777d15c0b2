import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.lookups
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0002_ledger_functions'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='usagerecord',
            name='usage_not_negative',
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='attempt',
            field=models.SmallIntegerField(default=1),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='cache_write_tokens',
            field=models.IntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='cached_input_tokens',
            field=models.IntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='duration_ms',
            field=models.IntegerField(null=True, verbose_name='duration, ms'),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='input_tokens',
            field=models.IntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='organization',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='usage_records', to='accounts.organization'),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='output_tokens',
            field=models.IntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='prompt_version',
            field=models.IntegerField(null=True),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='reasoning_tokens',
            field=models.IntegerField(default=0),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='request_id',
            field=models.CharField(max_length=128),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='ttft_ms',
            field=models.IntegerField(null=True, verbose_name='time to first token, ms'),
        ),
        migrations.AddIndex(
            model_name='usagerecord',
            index=models.Index(fields=['request_id'], name='usage_by_request'),
        ),
        migrations.AddConstraint(
            model_name='usagerecord',
            constraint=models.CheckConstraint(condition=models.Q(django.db.models.lookups.GreaterThanOrEqual(django.db.models.functions.comparison.Least('hold_usd', 'cost_usd'), 0), django.db.models.lookups.GreaterThanOrEqual(django.db.models.functions.comparison.Least('attempt', 'prompt_version', 'input_tokens', 'cached_input_tokens', 'cache_write_tokens', 'output_tokens', 'reasoning_tokens', 'ttft_ms', 'duration_ms'), 0)), name='usage_not_negative'),
        ),
    ]
