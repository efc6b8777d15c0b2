from pathlib import Path

from django.db import migrations

BOOK = Path(__file__).with_suffix('.sql').read_text()


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0001_initial'),
    ]

    operations = [
        migrations.RunSQL(BOOK, 'DROP FUNCTION billing_book'),
    ]
