from pathlib import Path

from django.db import migrations

BOOK = Path(__file__).with_suffix(".sql").read_text()
BOOK_BEFORE = Path(__file__).with_name("0002_ledger_functions.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_usage_columns")]

    operations = [
        migrations.RunSQL(BOOK, f"DROP FUNCTION billing_book; {BOOK_BEFORE}"),
    ]
