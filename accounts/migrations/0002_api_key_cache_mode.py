from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [('accounts', '0001_initial')]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='cache_mode',
            field=models.CharField(choices=[('on', 'Read and write'), ('read', 'Only read'), ('write', 'Only write'), ('off', 'Neither')], default='on', help_text='What calls with this key may do with the cache of answers, at most.', max_length=5, verbose_name='cache'),
        ),
    ]
