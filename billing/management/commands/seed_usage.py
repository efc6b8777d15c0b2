"""Made-up usage, to try reports with much of it."""

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing.reports import rollups, seeding


class Command(BaseCommand):
    help = "Add made-up usage records of the last days (not in production) and sum them up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rows", type=int, default=100_000)
        parser.add_argument("--days", type=int, default=180)

    def handle(self, *, rows: int, days: int, **options: Any) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError("`seed_usage` makes usage up and does not run in production.")
        if rows < 1 or not 1 <= days <= 730:
            raise CommandError("Ask for at least one row, and for 1 to 730 days.")
        began_at = time.monotonic()
        organization = seeding.seed(rows=rows, days=days)
        seeded_at = time.monotonic()
        hours = rollups.rebuild()
        self.stdout.write(
            f"{rows:,} records for “{organization}” in {seeded_at - began_at:.0f} s; "
            f"{hours:,} hours summed up in {time.monotonic() - seeded_at:.0f} s."
        )
