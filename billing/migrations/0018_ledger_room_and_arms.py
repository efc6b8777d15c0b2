from pathlib import Path

from django.db import migrations, models

LEDGER = (Path(__file__).parent / "0018_ledger_room_and_arms.sql").read_text()
LENGTHS = {"experiment": 100, "arm": 50, "unit": 64}
# Columns with a default of the table's own are added without writing a single row. In one statement
# and at the end, because calls wait from here until the transaction is over.
ADD = ", ".join(
    f"ADD COLUMN {name} varchar({length}) DEFAULT '' NOT NULL" for name, length in LENGTHS.items()
)
DROP = ", ".join(f"DROP COLUMN {name}" for name in LENGTHS)


class Migration(migrations.Migration):
    """Beside `billing_book_batch`, which processes of the version before go on using."""

    dependencies = [("billing", "0017_ledger_batch")]

    operations = [
        migrations.RunSQL(LEDGER, "DROP FUNCTION billing_book_entries"),
        migrations.RunSQL(
            f"ALTER TABLE billing_usagerecord {ADD}",
            f"ALTER TABLE billing_usagerecord {DROP}",
            state_operations=[
                migrations.AddField(
                    "usagerecord",
                    name,
                    models.CharField(max_length=length, default="", db_default="", blank=True),
                )
                for name, length in LENGTHS.items()
            ],
        ),
    ]
