from typing import Any

from django.db import migrations, models
from django.db.models import Q

NAME = "usage_by_experiment"
COLUMNS = "(experiment, organization_id, started_at DESC) WHERE experiment <> ''"
# Without rows of its own the table takes an index at once; partitions that are made from here on
# come with it.
OF_TABLE = f"CREATE INDEX IF NOT EXISTS {NAME} ON ONLY billing_usagerecord {COLUMNS}"
WITHOUT_IT = f"""
SELECT part.relname FROM pg_inherits AS i JOIN pg_class AS part ON part.oid = i.inhrelid
WHERE i.inhparent = 'billing_usagerecord'::regclass AND NOT EXISTS (
    SELECT FROM pg_index AS own JOIN pg_inherits AS of_table ON of_table.inhrelid = own.indexrelid
    WHERE own.indrelid = part.oid AND of_table.inhparent = '{NAME}'::regclass
)
ORDER BY part.relname
"""


def make(apps: Any, schema_editor: Any) -> None:
    """Index each partition while calls are written to it; begun anew, only what is missing."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(OF_TABLE)
        cursor.execute(WITHOUT_IT)
        for (part,) in cursor.fetchall():
            own = f"{part}_by_experiment"
            # Half built by a migration that was broken off.
            cursor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {own}")
            cursor.execute(f"CREATE INDEX CONCURRENTLY {own} ON {part} {COLUMNS}")
            cursor.execute(f"ALTER INDEX {NAME} ATTACH PARTITION {own}")


def drop(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX IF EXISTS {NAME}")


class Migration(migrations.Migration):
    """Not one transaction: PostgreSQL indexes beside running calls only outside of any."""

    atomic = False
    dependencies = [("billing", "0018_ledger_room_and_arms")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make, drop)],
            state_operations=[
                migrations.AddIndex(
                    "usagerecord",
                    models.Index(
                        fields=["experiment", "organization", "-started_at"],
                        condition=~Q(experiment=""),
                        name=NAME,
                    ),
                )
            ],
        )
    ]
