from pathlib import Path

from django.db import migrations

LEDGER = (Path(__file__).parent / "0017_ledger_batch.sql").read_text()


class Migration(migrations.Migration):
    """Beside `billing_book`, which processes of the version before go on using."""

    dependencies = [("billing", "0016_usage_by_model")]

    operations = [migrations.RunSQL(LEDGER, "DROP FUNCTION billing_book_batch")]
