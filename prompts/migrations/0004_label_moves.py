import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_models_of_a_key_are_few'),
        ('prompts', '0003_parts_of_a_version'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='LabelMove',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('label', models.CharField(max_length=50)),
                ('state', models.CharField(choices=[('proposed', 'Waits for a second person'), ('scheduled', 'Scheduled'), ('done', 'Done'), ('refused', 'Refused'), ('withdrawn', 'Withdrawn'), ('failed', 'Failed')], max_length=10)),
                ('note', models.CharField(blank=True, help_text='Why.', max_length=300)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('failure', models.CharField(blank=True, max_length=300)),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('previous_version', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.RESTRICT, related_name='+', to='prompts.promptversion')),
                ('prompt', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='label_moves', to='prompts.prompt')),
                ('proposed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.RESTRICT, related_name='+', to='prompts.promptversion')),
            ],
            options={
                'verbose_name': 'label move',
                'ordering': ['-created_at', '-pk'],
            },
        ),
        migrations.CreateModel(
            name='LabelRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('label', models.CharField(default='production', max_length=50)),
                ('needs_second_person', models.BooleanField(default=False, help_text='One proposes the move, another confirms it.', verbose_name='needs a second person')),
                ('required_pass_rate', models.DecimalField(blank=True, decimal_places=3, help_text="Of each dataset that guards releases, in the version's last run: 0.9 is nine of ten. Empty: a version needs no tests.", max_digits=4, null=True, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(1)], verbose_name='share of cases that must pass')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='label_rules', to='accounts.organization')),
            ],
            options={
                'ordering': ['organization', 'label'],
            },
        ),
        migrations.AddIndex(
            model_name='labelmove',
            index=models.Index(fields=['prompt', '-created_at'], name='label_move_history'),
        ),
        migrations.AddIndex(
            model_name='labelmove',
            index=models.Index(condition=models.Q(('state', 'scheduled')), fields=['due_at'], name='label_move_due'),
        ),
        migrations.AddConstraint(
            model_name='labelmove',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['proposed', 'scheduled'])), fields=('prompt', 'label'), name='label_move_one_open', violation_error_message='A move of this label is already open.'),
        ),
        migrations.AddConstraint(
            model_name='labelmove',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'done'), _negated=True), ('decided_by', None), ('proposed_by', None), models.Q(('decided_by', models.F('proposed_by')), _negated=True), _connector='OR'), name='label_move_second_person_is_another'),
        ),
        migrations.AddConstraint(
            model_name='labelrule',
            constraint=models.UniqueConstraint(fields=('organization', 'label'), name='label_rule_once'),
        ),
        migrations.AddConstraint(
            model_name='labelrule',
            constraint=models.CheckConstraint(condition=models.Q(('required_pass_rate', None), models.Q(('required_pass_rate__gte', 0), ('required_pass_rate__lte', 1)), _connector='OR'), name='label_rule_rate_is_a_share'),
        ),
    ]
