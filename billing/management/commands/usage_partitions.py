"""`manage.py usage_partitions`: the months of usage records that there are, with rows and size."""

from typing import Any

from django.core.management.base import BaseCommand
from django.template.defaultfilters import filesizeformat

from billing.models import DroppedMonth
from billing.retention import partitions


class Command(BaseCommand):
    help = "List the partitions of usage records: month, rows, size; and the months that left."

    def handle(self, **options: Any) -> None:
        for one in partitions.partitions():
            name = "other" if one.month is None else f"{one.month:%Y-%m}"
            size = filesizeformat(one.size).replace("\xa0", " ")
            self.stdout.write(f"{name:<8}{one.rows:>14,} rows{size:>12}")
        for dropped in DroppedMonth.objects.order_by("month"):
            self.stdout.write(f"{dropped!s:<8}{dropped.records:>14,} rows in {dropped.file_name}")
