import billing.money
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('prompts', '0006_feedback'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Dataset',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.SlugField(max_length=100)),
                ('description', models.CharField(blank=True, max_length=300)),
                ('guards_releases', models.BooleanField(default=False, help_text='A label whose rule asks for passed tests wants these cases to pass.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='datasets', to='prompts.prompt')),
            ],
            options={
                'ordering': ['prompt', 'name'],
            },
        ),
        migrations.CreateModel(
            name='Case',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=200)),
                ('variables', models.JSONField(blank=True, default=dict)),
                ('locale', models.CharField(blank=True, max_length=20)),
                ('messages', models.JSONField(blank=True, default=list)),
                ('checks', models.JSONField(blank=True, default=list)),
                ('position', models.PositiveIntegerField(default=0)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='cases', to='prompts.dataset')),
            ],
            options={
                'ordering': ['dataset', 'position', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='DatasetRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('versions', models.JSONField()),
                ('model_names', models.JSONField()),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done'), ('capped', 'Stopped at the cap'), ('cancelled', 'Cancelled'), ('failed', 'Failed')], default='waiting', max_length=9)),
                ('failure', models.CharField(blank=True, max_length=300)),
                ('cap_usd', billing.money.UsdField(decimal_places=12, max_digits=20, verbose_name='cap, USD')),
                ('estimated_usd', billing.money.UsdField(decimal_places=12, max_digits=20, null=True, verbose_name='estimate, USD')),
                ('spent_usd', billing.money.UsdField(decimal_places=12, default=0, max_digits=20, verbose_name='spent, USD')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('lease_expires_at', models.DateTimeField(null=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('dataset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='prompts.dataset')),
            ],
            options={
                'verbose_name': 'run',
                'ordering': ['-created_at', '-pk'],
            },
        ),
        migrations.CreateModel(
            name='CaseResult',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('case_name', models.CharField(max_length=200)),
                ('version', models.PositiveIntegerField()),
                ('model', models.CharField(max_length=200)),
                ('output', models.TextField(blank=True)),
                ('checks', models.JSONField(default=list)),
                ('passed', models.BooleanField(null=True)),
                ('error', models.CharField(blank=True, max_length=500)),
                ('request_id', models.CharField(blank=True, max_length=100)),
                ('cost_usd', billing.money.UsdField(decimal_places=12, max_digits=20, null=True, verbose_name='cost, USD')),
                ('input_tokens', models.PositiveIntegerField(default=0)),
                ('output_tokens', models.PositiveIntegerField(default=0)),
                ('ttft_ms', models.PositiveIntegerField(null=True)),
                ('duration_ms', models.PositiveIntegerField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('case', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='prompts.case')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='results', to='prompts.datasetrun')),
            ],
            options={
                'verbose_name': 'result',
                'ordering': ['run', 'case_name', 'version', 'model'],
            },
        ),
        migrations.AddConstraint(
            model_name='dataset',
            constraint=models.UniqueConstraint(fields=('prompt', 'name'), name='dataset_name_once', violation_error_message='The prompt already has a dataset of this name.'),
        ),
        migrations.AddConstraint(
            model_name='case',
            constraint=models.UniqueConstraint(fields=('dataset', 'name'), name='case_name_once', violation_error_message='The dataset already has a case of this name.'),
        ),
        migrations.AddIndex(
            model_name='datasetrun',
            index=models.Index(condition=models.Q(('state__in', ['waiting', 'running'])), fields=['created_at'], name='dataset_run_open'),
        ),
        migrations.AddConstraint(
            model_name='caseresult',
            constraint=models.UniqueConstraint(fields=('run', 'case_name', 'version', 'model'), name='case_result_once'),
        ),
    ]
