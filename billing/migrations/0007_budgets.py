from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_prices")]

    operations: list[migrations.operations.base.Operation] = []
