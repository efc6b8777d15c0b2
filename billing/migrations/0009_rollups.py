from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_alerts")]

    operations: list[migrations.operations.base.Operation] = []
