import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('accounts', '0001_initial'),
        ('llm', '0004_guardrails'),
    ]

    operations = [
        migrations.CreateModel(
            name='Limit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Whoever is refused by it reads this.', max_length=100, unique=True)),
                ('scope', models.CharField(choices=[('organization', 'Organization'), ('user', 'User'), ('api_key', 'API key'), ('ip', 'Address (IP)')], max_length=12, verbose_name='for each')),
                ('requests', models.PositiveIntegerField(blank=True, help_text='In the time below.', null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('tokens', models.PositiveIntegerField(blank=True, help_text='Of input and output, in the time below.', null=True, validators=[django.core.validators.MinValueValidator(1)])),
                ('seconds', models.PositiveIntegerField(default=60, help_text='60 is a minute, 3600 an hour, 86400 a day.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(86400)])),
                ('parallel', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='calls at once')),
                ('is_active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('api_key', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.apikey', verbose_name='API key')),
                ('organization', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organization')),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.CheckConstraint(condition=models.Q(('requests__isnull', False), ('tokens__isnull', False), ('parallel__isnull', False), _connector='OR'), name='limit_has_a_figure', violation_error_message='Fill in requests, tokens or calls at once.'), models.CheckConstraint(condition=models.Q(models.Q(('requests', None), ('requests__gt', 0), _connector='OR'), models.Q(('tokens', None), ('tokens__gt', 0), _connector='OR'), models.Q(('parallel', None), ('parallel__gt', 0), _connector='OR'), ('seconds__gt', 0), ('seconds__lte', 86400)), name='limit_above_zero'), models.CheckConstraint(condition=models.Q(models.Q(('organization', None), ('scope', 'organization'), _connector='OR'), models.Q(('user', None), ('scope', 'user'), _connector='OR'), models.Q(('api_key', None), ('scope', 'api_key'), _connector='OR')), name='limit_target_matches_scope', violation_error_message='Name only what the limit is for, or nothing at all.')],
            },
        ),
        migrations.CreateModel(
            name='LimitRefusal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('minute', models.DateTimeField(db_index=True)),
                ('limit_name', models.CharField(max_length=100, verbose_name='limit')),
                ('figure', models.CharField(max_length=20)),
                ('user_name', models.CharField(blank=True, max_length=150, verbose_name='user')),
                ('api_key_prefix', models.CharField(blank=True, max_length=16, verbose_name='API key')),
                ('ip', models.CharField(blank=True, max_length=64, verbose_name='address')),
                ('surface', models.CharField(blank=True, max_length=20)),
                ('count', models.PositiveIntegerField(verbose_name='times')),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('organization', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organization')),
            ],
            options={
                'ordering': ['-minute', '-pk'],
                'constraints': [models.UniqueConstraint(fields=('minute', 'limit_name', 'figure', 'organization', 'user_name', 'api_key_prefix', 'ip', 'surface'), name='limit_refusal_once_a_minute', nulls_distinct=False)],
            },
        ),
    ]
