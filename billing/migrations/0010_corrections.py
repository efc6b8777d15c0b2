from pathlib import Path

import billing.models.corrections
import billing.money
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


KEEP = Path(__file__).with_suffix('.sql').read_text()
LET_GO = """
DROP TRIGGER billing_adjustment_stays ON billing_adjustment;
DROP TRIGGER billing_correction_stays ON billing_correction;
DROP FUNCTION billing_keep_decided;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_api_key_allowed_models'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('billing', '0009_rollups'),
    ]

    operations = [
        migrations.CreateModel(
            name='Correction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('manual', 'By hand'), ('rerate', 'Other prices')], default='manual', editable=False, max_length=10)),
                ('reason', models.CharField(help_text='Why; people read it in a year.', max_length=500)),
                ('state', models.CharField(choices=[('proposed', 'Waits for a second person'), ('posted', 'Posted'), ('declined', 'Declined')], default='proposed', editable=False, max_length=10)),
                ('proposed_by', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='proposed_corrections', to=settings.AUTH_USER_MODEL)),
                ('proposed_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('decided_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='decided_corrections', to=settings.AUTH_USER_MODEL)),
                ('decided_at', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'ordering': ['-proposed_at', '-pk'],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('state', 'posted'), _negated=True), models.Q(('decided_by__isnull', False), models.Q(('decided_by', models.F('proposed_by')), _negated=True)), _connector='OR'), name='correction_second_person'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('decided_by__isnull', True), ('state', 'proposed')), models.Q(models.Q(('state', 'proposed'), _negated=True), ('decided_at__isnull', False), ('decided_by__isnull', False)), _connector='OR'), name='correction_decided_by_somebody')],
            },
        ),
        migrations.CreateModel(
            name='Adjustment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('correction', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='adjustments', to='billing.correction')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='adjustments', to='accounts.organization')),
                ('day', models.DateField(help_text="The day it belongs to, in each budget's own calendar.")),
                ('at', models.DateTimeField(null=True)),
                ('amount_usd', billing.models.corrections.SignedUsdField(decimal_places=12, help_text='Negative: less was spent.', max_digits=20, verbose_name='amount, USD')),
                ('user_id', models.BigIntegerField(null=True)),
                ('user_name', models.CharField(blank=True, max_length=150)),
                ('api_key_id', models.BigIntegerField(null=True)),
                ('api_key_prefix', models.CharField(blank=True, max_length=16)),
                ('prompt_name', models.CharField(blank=True, max_length=100)),
                ('provider', models.CharField(blank=True, max_length=100)),
                ('model_asked', models.CharField(blank=True, max_length=200)),
                ('model_served', models.CharField(blank=True, max_length=200)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, default=list, size=None)),
                ('attempts', models.IntegerField(null=True)),
                ('budget_period_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), default=list, size=None)),
            ],
            options={
                'ordering': ['day', 'pk'],
                'indexes': [models.Index(fields=['organization', 'day'], name='adjustment_by_day')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount_usd', 0), _negated=True), name='adjustment_is_something')],
            },
        ),
        migrations.CreateModel(
            name='DisplayCurrency',
            fields=[
                ('id', models.SmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('code', models.CharField(help_text='ISO 4217, such as EUR.', max_length=3, validators=[django.core.validators.RegexValidator('^[A-Z]{3}\\Z', 'Three capital letters, such as EUR.')])),
                ('symbol', models.CharField(help_text='What is written before the amount: €', max_length=5)),
            ],
            options={
                'verbose_name_plural': 'display currency',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='display_currency_is_one'), models.CheckConstraint(condition=models.Q(('code', 'USD'), _negated=True), name='display_currency_is_not_usd')],
            },
        ),
        migrations.CreateModel(
            name='ExchangeRate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=3, validators=[django.core.validators.RegexValidator('^[A-Z]{3}\\Z', 'Three capital letters, such as EUR.')], verbose_name='currency')),
                ('day', models.DateField()),
                ('rate', models.DecimalField(decimal_places=10, help_text='How much of the currency a US dollar is worth: 0.92 for EUR.', max_digits=20, validators=[django.core.validators.MinValueValidator(Decimal('1E-10'))], verbose_name='for a US dollar')),
                ('entered_by', models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
                ('source', models.CharField(blank=True, help_text='Where it comes from.', max_length=200)),
            ],
            options={
                'ordering': ['code', '-day'],
                'constraints': [models.UniqueConstraint(fields=('code', 'day'), name='exchange_rate_once_a_day'), models.CheckConstraint(condition=models.Q(('rate__gt', 0)), name='exchange_rate_positive')],
            },
        ),
        migrations.CreateModel(
            name='DroppedMonth',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.DateField(unique=True)),
                ('records', models.BigIntegerField()),
                ('file_name', models.CharField(max_length=200)),
                ('sha256', models.CharField(max_length=64)),
                ('dropped_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['-month'],
            },
        ),
        migrations.CreateModel(
            name='DroppedUsage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='usage', to='billing.droppedmonth')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='dropped_usage', to='accounts.organization')),
                ('user_id', models.BigIntegerField(null=True)),
                ('api_key_id', models.BigIntegerField(null=True)),
                ('prompt_name', models.CharField(blank=True, max_length=100)),
                ('model_asked', models.CharField(max_length=200)),
                ('provider', models.CharField(max_length=100)),
                ('model_served', models.CharField(max_length=200)),
                ('tags', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, default=list, size=None)),
                ('attempts', models.BigIntegerField()),
                ('cost_usd', billing.money.UsdField(decimal_places=12, max_digits=20)),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='DroppedSpending',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='spending', to='billing.droppedmonth')),
                ('period_id', models.BigIntegerField(db_index=True)),
                ('spent_usd', billing.money.UsdField(decimal_places=12, default=0, max_digits=20)),
                ('overrun_usd', billing.money.UsdField(decimal_places=12, default=0, max_digits=20)),
                ('opening_usd', billing.money.UsdField(decimal_places=12, default=0, max_digits=20)),
            ],
            options={
                'ordering': ['pk'],
                'constraints': [models.UniqueConstraint(fields=('month', 'period_id'), name='dropped_spending_once')],
            },
        ),
        migrations.RunSQL(KEEP, LET_GO),
    ]
