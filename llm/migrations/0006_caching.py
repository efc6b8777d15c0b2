import core.ids
import django.db.models.deletion
import pgvector.django.vector
from django.conf import settings
from django.core.management import CommandError
from django.db import DatabaseError, migrations, models
from pgvector.django import VectorExtension


class Vectors(VectorExtension):
    """Creates the extension, or says in one line what the database lacks."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        try:
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        except DatabaseError as error:
            reason = str(error).splitlines()[0]
            raise CommandError(
                "Parley needs the PostgreSQL extension pgvector. Install it on the database server "
                "and run, as a superuser, in Parley's database: CREATE EXTENSION vector; "
                f"(PostgreSQL says: {reason})"
            ) from None


class Migration(migrations.Migration):
    dependencies = [
        ('accounts', '0001_initial'),
        ('llm', '0005_limits'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        Vectors(),
        migrations.CreateModel(
            name='CachePurge',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('alias', models.CharField(blank=True, help_text='The name that callers ask for. Empty: every model.', max_length=200, verbose_name='model')),
                ('prompt_name', models.CharField(blank=True, help_text='Empty: with every prompt, and without.', max_length=100, verbose_name='prompt')),
                ('purged_at', models.DateTimeField(auto_now_add=True)),
                ('organization', models.ForeignKey(blank=True, help_text='Empty: every one.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organization')),
                ('purged_by', models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'cache purge',
                'verbose_name_plural': 'cache',
                'ordering': ['-purged_at'],
            },
        ),
        migrations.CreateModel(
            name='SemanticAnswer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(max_length=64)),
                ('prompt_name', models.CharField(max_length=100)),
                ('prompt_version', models.PositiveIntegerField()),
                ('alias', models.CharField(max_length=200)),
                ('embedding_model', models.CharField(max_length=200)),
                ('dimensions', models.PositiveIntegerField()),
                ('embedding', pgvector.django.vector.VectorField()),
                ('answer', models.BinaryField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField(db_index=True)),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organization')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='SemanticHit',
            fields=[
                ('usage_id', models.UUIDField(default=core.ids.new_id, editable=False, primary_key=True, serialize=False)),
                ('prompt_name', models.CharField(max_length=100)),
                ('prompt_version', models.PositiveIntegerField()),
                ('alias', models.CharField(max_length=200)),
                ('embedding_model', models.CharField(max_length=200)),
                ('similarity', models.FloatField()),
                ('threshold', models.FloatField(help_text="The prompt's, at that time.")),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('reported_at', models.DateTimeField(null=True, verbose_name='reported as wrong')),
                ('reported_by', models.CharField(blank=True, max_length=150)),
                ('answer', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='hits', to='llm.semanticanswer')),
                ('organization', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.organization')),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.AddIndex(
            model_name='semanticanswer',
            index=models.Index(fields=['scope', 'expires_at'], name='semantic_answer_by_scope'),
        ),
        migrations.AddIndex(
            model_name='semantichit',
            index=models.Index(fields=['created_at'], name='semantic_hit_by_time'),
        ),
    ]
