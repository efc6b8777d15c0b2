from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_rollups")]

    operations: list[migrations.operations.base.Operation] = []
