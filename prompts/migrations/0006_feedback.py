import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_models_of_a_key_are_few'),
        ('prompts', '0005_experiments'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Feedback',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('request_id', models.CharField(max_length=100)),
                ('kind', models.CharField(choices=[('thumb', 'Thumb'), ('regenerated', 'Asked for again'), ('check', 'Check')], max_length=11)),
                ('value', models.SmallIntegerField()),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('prompt_name', models.CharField(blank=True, max_length=100)),
                ('prompt_version', models.PositiveIntegerField(null=True)),
                ('experiment', models.CharField(blank=True, max_length=100)),
                ('arm', models.CharField(blank=True, max_length=50)),
                ('unit', models.CharField(blank=True, max_length=64)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('changed_at', models.DateTimeField(auto_now=True)),
                ('api_key', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.apikey')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organization')),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at', '-pk'],
            },
        ),
        migrations.AddIndex(
            model_name='feedback',
            index=models.Index(condition=models.Q(('experiment', ''), _negated=True), fields=['organization', 'prompt_name', 'experiment'], name='feedback_of_experiment'),
        ),
        migrations.AddIndex(
            model_name='feedback',
            index=models.Index(fields=['user', '-created_at'], name='feedback_of_user'),
        ),
        migrations.AddConstraint(
            model_name='feedback',
            constraint=models.UniqueConstraint(fields=('organization', 'request_id', 'kind', 'user', 'api_key'), name='feedback_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='feedback',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'thumb'), ('value__in', [1, -1])), models.Q(('kind', 'regenerated'), ('value', 1)), models.Q(('kind', 'check'), ('value__in', [0, 1])), _connector='OR'), name='feedback_value_suits_kind'),
        ),
    ]
