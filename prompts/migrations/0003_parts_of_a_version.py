from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('prompts', '0002_prompt_cache'),
    ]

    operations = [
        migrations.AddField(
            model_name='promptversion',
            name='default_locale',
            field=models.CharField(db_default='en', default='en', max_length=20),
        ),
        migrations.AddField(
            model_name='promptversion',
            name='locales',
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.AddField(
            model_name='promptversion',
            name='output_schema',
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name='promptversion',
            name='tools',
            field=models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
        ),
    ]
