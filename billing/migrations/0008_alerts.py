from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_budgets")]

    operations: list[migrations.operations.base.Operation] = []
