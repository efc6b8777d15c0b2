import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import billing.money


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_alerts")]

    operations = [
        migrations.CreateModel(
            name='RollupProgress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('covered_until', models.DateTimeField(null=True)),
                ('open_hours', models.JSONField(default=list)),
                ('time_zone', models.CharField(blank=True, max_length=64)),
                ('updated_at', models.DateTimeField(null=True)),
                ('rest_until', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='rollup_progress_is_one_row')],
            },
        ),
        migrations.CreateModel(
            name='UsageDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_at', models.DateTimeField()),
                ('user_id', models.BigIntegerField(null=True)),
                ('user_name', models.CharField(max_length=150)),
                ('api_key_id', models.BigIntegerField(null=True)),
                ('api_key_prefix', models.CharField(max_length=16)),
                ('surface', models.CharField(max_length=20)),
                ('prompt_name', models.CharField(max_length=100)),
                ('prompt_version', models.IntegerField(null=True)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), size=None)),
                ('provider', models.CharField(max_length=100)),
                ('model_served', models.CharField(max_length=200)),
                ('service_tier', models.CharField(max_length=20)),
                ('outcome', models.CharField(max_length=12)),
                ('error_class', models.CharField(max_length=40)),
                ('is_cache_hit', models.BooleanField()),
                ('attempts', models.BigIntegerField()),
                ('requests', models.BigIntegerField()),
                ('unpriced', models.BigIntegerField()),
                ('input_tokens', models.BigIntegerField()),
                ('cached_input_tokens', models.BigIntegerField()),
                ('cache_write_tokens', models.BigIntegerField()),
                ('output_tokens', models.BigIntegerField()),
                ('reasoning_tokens', models.BigIntegerField()),
                ('audio_input_tokens', models.BigIntegerField()),
                ('audio_output_tokens', models.BigIntegerField()),
                ('cost_usd', billing.money.UsdField(decimal_places=12, max_digits=20)),
                ('saved_usd', billing.money.UsdField(decimal_places=12, max_digits=20)),
                ('ttft_ms', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('duration_ms', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
        ),
        migrations.CreateModel(
            name='Dashboard',
            fields=[
            ],
            options={
                'verbose_name_plural': 'dashboard',
                'proxy': True,
                'default_permissions': ['view'],
                'indexes': [],
                'constraints': [],
            },
            bases=('billing.usageday',),
        ),
        migrations.CreateModel(
            name='UsageHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('starts_at', models.DateTimeField()),
                ('user_id', models.BigIntegerField(null=True)),
                ('user_name', models.CharField(max_length=150)),
                ('api_key_id', models.BigIntegerField(null=True)),
                ('api_key_prefix', models.CharField(max_length=16)),
                ('surface', models.CharField(max_length=20)),
                ('prompt_name', models.CharField(max_length=100)),
                ('prompt_version', models.IntegerField(null=True)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), size=None)),
                ('provider', models.CharField(max_length=100)),
                ('model_served', models.CharField(max_length=200)),
                ('service_tier', models.CharField(max_length=20)),
                ('outcome', models.CharField(max_length=12)),
                ('error_class', models.CharField(max_length=40)),
                ('is_cache_hit', models.BooleanField()),
                ('attempts', models.BigIntegerField()),
                ('requests', models.BigIntegerField()),
                ('unpriced', models.BigIntegerField()),
                ('input_tokens', models.BigIntegerField()),
                ('cached_input_tokens', models.BigIntegerField()),
                ('cache_write_tokens', models.BigIntegerField()),
                ('output_tokens', models.BigIntegerField()),
                ('reasoning_tokens', models.BigIntegerField()),
                ('audio_input_tokens', models.BigIntegerField()),
                ('audio_output_tokens', models.BigIntegerField()),
                ('cost_usd', billing.money.UsdField(decimal_places=12, max_digits=20)),
                ('saved_usd', billing.money.UsdField(decimal_places=12, max_digits=20)),
                ('ttft_ms', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('duration_ms', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), size=None)),
                ('organization', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organization')),
            ],
        ),
        migrations.AddIndex(
            model_name='usageday',
            index=models.Index(fields=['starts_at', 'organization'], name='usage_day_by_time'),
        ),
        migrations.AddIndex(
            model_name='usagehour',
            index=models.Index(fields=['starts_at', 'organization'], name='usage_hour_by_time'),
        ),
    ]
