from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_api_key_cache_mode'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='allowed_models',
            field=models.TextField(blank=True, help_text='The only models that this key may ask for, one name a line; * stands for anything: gpt-*. Empty: all that its organization may.'),
        ),
    ]
