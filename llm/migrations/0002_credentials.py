"""A provider's key becomes a row of its own, so that there can be several."""

import hashlib

import django.core.validators
import django.db.models.deletion
from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import migrations, models


def key_id_of(token):
    """Return the id of the key that can read the secret; empty where none can."""
    for key in settings.SECRET_KEYS if token else ():
        try:
            Fernet(key).decrypt(token.encode())
        except InvalidToken:
            continue
        return hashlib.sha256(key.encode()).hexdigest()[:8]
    return ''


def move_keys_out(apps, schema_editor):
    Provider = apps.get_model('llm', 'Provider')
    Credential = apps.get_model('llm', 'Credential')
    Credential.objects.bulk_create(
        Credential(
            provider=provider,
            name='main',
            environment_variable=provider.api_key_env,
            secret_encrypted=provider.api_key_encrypted,
            secret_key_id=key_id_of(provider.api_key_encrypted),
        )
        for provider in Provider.objects.all()
        if provider.api_key_env or provider.api_key_encrypted
    )


def move_keys_back(apps, schema_editor):
    """Give each provider its first key that is switched on; there is no room for more."""
    Provider = apps.get_model('llm', 'Provider')
    Credential = apps.get_model('llm', 'Credential')
    for credential in Credential.objects.order_by('is_active', '-pk'):
        Provider.objects.filter(pk=credential.provider_id).update(
            api_key_env=credential.environment_variable,
            api_key_encrypted=credential.secret_encrypted,
        )


class Migration(migrations.Migration):

    dependencies = [
        ('llm', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='provider',
            name='auth',
            field=models.CharField(choices=[('key', 'API keys'), ('token', 'Microsoft Entra tokens (Azure OpenAI only)')], default='key', max_length=10, verbose_name='signs in with'),
        ),
        migrations.AddField(
            model_name='provider',
            name='max_connections',
            field=models.PositiveIntegerField(default=0, help_text='At once, in each process. 0: no limit.'),
        ),
        migrations.CreateModel(
            name='Credential',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='For yourselves: whose key it is.', max_length=100)),
                ('environment_variable', models.CharField(blank=True, help_text='The variable that holds the key. It wins over a stored key.', max_length=100, validators=[django.core.validators.RegexValidator('^[A-Za-z_][A-Za-z0-9_]*$', "This is no variable's name.")])),
                ('secret_encrypted', models.TextField(blank=True, editable=False)),
                ('secret_key_id', models.CharField(blank=True, editable=False, max_length=8)),
                ('weight', models.PositiveSmallIntegerField(default=1, help_text='Its share of the calls. 0: only when there is no other.')),
                ('is_active', models.BooleanField(default=True)),
                ('set_aside_at', models.DateTimeField(editable=False, null=True)),
                ('set_aside_reason', models.CharField(blank=True, editable=False, max_length=100)),
                ('set_aside_secret', models.CharField(blank=True, editable=False, max_length=64)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('provider', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='credentials', to='llm.provider')),
            ],
            options={
                'verbose_name': 'key',
                'ordering': ['provider', 'name'],
                'constraints': [models.UniqueConstraint(fields=('provider', 'name'), name='credential_name_once'), models.CheckConstraint(condition=models.Q(('environment_variable', ''), ('secret_encrypted', ''), _negated=True), name='credential_has_a_source')],
            },
        ),
        migrations.RunPython(move_keys_out, move_keys_back),
        migrations.RemoveField(
            model_name='provider',
            name='api_key_env',
        ),
        migrations.RemoveField(
            model_name='provider',
            name='api_key_encrypted',
        ),
    ]
