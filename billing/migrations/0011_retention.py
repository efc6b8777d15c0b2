from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0010_corrections")]

    operations: list[migrations.operations.base.Operation] = []
