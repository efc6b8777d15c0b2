import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('prompts', '0004_label_moves'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Experiment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.SlugField(help_text='Usage records carry it.', max_length=100)),
                ('hypothesis', models.CharField(blank=True, help_text='What you expect, and of which arm.', max_length=300)),
                ('label', models.CharField(default='production', help_text='Calls that ask for this label are split.', max_length=50)),
                ('unit', models.CharField(choices=[('user', 'User'), ('conversation', 'Conversation'), ('key', 'API key')], default='user', help_text='Who keeps the arm they got first.', max_length=12)),
                ('salt', models.CharField(editable=False, max_length=32)),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('running', 'Running'), ('stopped', 'Stopped')], default='draft', editable=False, max_length=8)),
                ('primary_metric', models.CharField(choices=[('cost', 'Cost per request'), ('ttft', 'Time to first token'), ('duration', 'Duration'), ('input_tokens', 'Input tokens per request'), ('output_tokens', 'Output tokens per request'), ('errors', 'Share of errors'), ('stops', 'Share of stopped answers'), ('regenerations', 'Share of answers asked for again'), ('thumbs', 'Share of thumbs up'), ('checks', 'Share of checks passed')], default='cost', max_length=16)),
                ('guardrail_metric', models.CharField(blank=True, choices=[('cost', 'Cost per request'), ('ttft', 'Time to first token'), ('duration', 'Duration'), ('input_tokens', 'Input tokens per request'), ('output_tokens', 'Output tokens per request'), ('errors', 'Share of errors'), ('stops', 'Share of stopped answers'), ('regenerations', 'Share of answers asked for again'), ('thumbs', 'Share of thumbs up'), ('checks', 'Share of checks passed')], help_text='The experiment stops by itself when an arm is certainly worse by more than the limit. Empty: it never does.', max_length=16)),
                ('guardrail_limit', models.FloatField(default=0.0, help_text="As a share of the control's figure: 0.1 is a tenth.", validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(10)], verbose_name='worse by at most')),
                ('smallest_effect', models.FloatField(default=0.05, help_text="As a share of the control's figure: 0.05 is a twentieth.", validators=[django.core.validators.MinValueValidator(0.001), django.core.validators.MaxValueValidator(10)], verbose_name='smallest difference worth seeing')),
                ('ramp', models.JSONField(blank=True, default=list)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(editable=False, null=True)),
                ('stopped_at', models.DateTimeField(editable=False, null=True)),
                ('stop_reason', models.CharField(blank=True, editable=False, max_length=300)),
                ('results', models.JSONField(editable=False, null=True)),
                ('created_by', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='experiments', to='prompts.prompt')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='Arm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.SlugField()),
                ('is_control', models.BooleanField(default=False, verbose_name='control')),
                ('weight', models.PositiveIntegerField(default=1, help_text='Two arms of 1 and 3 get a quarter and three quarters. 0: nobody new.', validators=[django.core.validators.MaxValueValidator(10000)])),
                ('model', models.CharField(blank=True, help_text='Asked instead of what the caller names.', max_length=200)),
                ('settings', models.JSONField(blank=True, default=dict)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.RESTRICT, related_name='+', to='prompts.promptversion')),
                ('experiment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='arms', to='prompts.experiment')),
            ],
            options={
                'ordering': ['-is_control', 'name'],
            },
        ),
        migrations.CreateModel(
            name='Exposure',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('unit', models.CharField(max_length=64)),
                ('shares', models.JSONField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('arm', models.ForeignKey(on_delete=django.db.models.deletion.RESTRICT, related_name='exposures', to='prompts.arm')),
                ('experiment', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='exposures', to='prompts.experiment')),
            ],
            options={
                'ordering': ['created_at', 'pk'],
            },
        ),
        migrations.AddConstraint(
            model_name='experiment',
            constraint=models.UniqueConstraint(fields=('prompt', 'name'), name='experiment_name_once', violation_error_message='The prompt already has an experiment of this name.'),
        ),
        migrations.AddConstraint(
            model_name='experiment',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'running')), fields=('prompt',), name='experiment_one_running', violation_error_message='Another experiment on this prompt is running.'),
        ),
        migrations.AddConstraint(
            model_name='arm',
            constraint=models.UniqueConstraint(fields=('experiment', 'name'), name='arm_name_once'),
        ),
        migrations.AddConstraint(
            model_name='arm',
            constraint=models.UniqueConstraint(condition=models.Q(('is_control', True)), fields=('experiment',), name='arm_one_control'),
        ),
        migrations.AddConstraint(
            model_name='arm',
            constraint=models.CheckConstraint(condition=models.Q(('weight__lte', 10000)), name='arm_weight_is_bounded'),
        ),
        migrations.AddConstraint(
            model_name='exposure',
            constraint=models.UniqueConstraint(fields=('experiment', 'unit'), name='exposure_once_per_unit'),
        ),
    ]
