import core.ids
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('accounts', '0001_initial'),
        ('llm', '0003_routing'),
    ]

    operations = [
        migrations.CreateModel(
            name='GuardrailDecision',
            fields=[
                ('id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('decided_at', models.DateTimeField(db_index=True)),
                ('user_name', models.CharField(blank=True, max_length=150, verbose_name='user')),
                ('api_key_prefix', models.CharField(blank=True, max_length=16, verbose_name='API key')),
                ('surface', models.CharField(blank=True, max_length=20)),
                ('request_id', models.CharField(blank=True, max_length=128)),
                ('prompt_name', models.CharField(blank=True, max_length=100, verbose_name='prompt')),
                ('rule_name', models.CharField(max_length=100, verbose_name='rule')),
                ('check_name', models.CharField(choices=[('pii', 'Personal data'), ('secrets', 'Keys and tokens'), ('injection', 'Hidden instructions'), ('moderation', 'Moderation by a model'), ('words', 'Own words and patterns')], max_length=20, verbose_name='check')),
                ('kind', models.CharField(max_length=40, verbose_name='found')),
                ('direction', models.CharField(choices=[('in', 'To the model'), ('out', 'From the model'), ('both', 'Both ways')], max_length=4)),
                ('action', models.CharField(choices=[('off', 'Off: do not look'), ('log', 'Record it'), ('redact', 'Replace it'), ('block', 'Refuse the call')], max_length=10)),
                ('count', models.PositiveIntegerField(help_text='How often it was found.')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organization')),
            ],
            options={
                'ordering': ['-decided_at'],
                'indexes': [models.Index(fields=['organization', '-decided_at'], name='guardrail_by_organization')],
            },
        ),
        migrations.CreateModel(
            name='GuardrailRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='It is shown with decisions.', max_length=100, unique=True)),
                ('check_name', models.CharField(choices=[('pii', 'Personal data'), ('secrets', 'Keys and tokens'), ('injection', 'Hidden instructions'), ('moderation', 'Moderation by a model'), ('words', 'Own words and patterns')], max_length=20, verbose_name='check')),
                ('action', models.CharField(choices=[('off', 'Off: do not look'), ('log', 'Record it'), ('redact', 'Replace it'), ('block', 'Refuse the call')], default='log', max_length=10)),
                ('direction', models.CharField(choices=[('in', 'To the model'), ('out', 'From the model'), ('both', 'Both ways')], default='in', max_length=4)),
                ('prompt_name', models.CharField(blank=True, help_text='Empty: with every prompt, and without.', max_length=100, verbose_name='prompt')),
                ('surface', models.CharField(blank=True, help_text='Where the call comes from. Empty: everywhere.', max_length=20)),
                ('settings', models.JSONField(blank=True, default=dict, editable=False)),
                ('position', models.PositiveIntegerField(default=0, help_text='Of rules that count alike, the lowest is applied first.')),
                ('is_active', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('organization', models.ForeignKey(blank=True, help_text='Empty: every one.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organization')),
            ],
            options={
                'ordering': ['check_name', 'position', 'name'],
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('check_name', 'injection'), _negated=True), ('direction', 'in'), _connector='OR'), name='guardrail_injection_goes_in'), models.CheckConstraint(condition=models.Q(('action', 'redact'), ('check_name', 'moderation'), _negated=True), name='guardrail_moderation_has_no_place')],
            },
        ),
    ]
