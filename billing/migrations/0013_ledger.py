from pathlib import Path

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

FOLDER = Path(__file__).parent
LEDGER = (FOLDER / "0013_ledger.sql").read_text()
BEFORE = (FOLDER / "0005_ledger.sql").read_text()


class Migration(migrations.Migration):
    """Not one transaction: what would wait for calls is done before the rows are looked at."""

    atomic = False
    dependencies = [("billing", "0012_token_classes")]

    operations = [
        migrations.RunSQL(LEDGER, BEFORE),
        ValidateConstraint("usagerecord", "usage_not_negative"),
    ]
