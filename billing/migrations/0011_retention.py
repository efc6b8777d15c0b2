from pathlib import Path

from django.db import migrations

FOLDER = Path(__file__).parent
FUNCTIONS = (FOLDER / "0011_retention.sql").read_text()
REBUILD = (FOLDER / "0011_rebuild.sql").read_text()
# Foreign keys are looked at when a transaction ends: a table with open questions cannot be dropped.
AT_ONCE = "SET CONSTRAINTS ALL IMMEDIATE;"
DROP_FUNCTIONS = """
DROP FUNCTION billing_make_usage_partition;
DROP FUNCTION billing_usage_month;
DROP FUNCTION billing_usage_bound;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_corrections")]

    operations = [
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
        migrations.RunSQL(
            f"{AT_ONCE} {REBUILD} SELECT pg_temp.rebuild_usage(true);"
            " DROP FUNCTION pg_temp.rebuild_usage; ANALYZE billing_usagerecord;",
            f"{AT_ONCE} {REBUILD} SELECT pg_temp.rebuild_usage(false);"
            " DROP FUNCTION pg_temp.rebuild_usage;",
        ),
    ]
