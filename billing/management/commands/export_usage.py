"""`manage.py export_usage`: a month's usage records as a file, and on request out of here."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.retention import dropping, exporting
from core.errors import AppError


class Command(BaseCommand):
    help = "Write a month's usage records to a compressed CSV file with a checksum beside it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", required=True, type=_month, help="such as 2026-01, in UTC")
        parser.add_argument("--to", required=True, type=Path, metavar="DIR", help="the folder")
        parser.add_argument("--format", choices=["csv"], default="csv")
        parser.add_argument(
            "--drop", action="store_true", help="then drop the records; what they cost stays"
        )

    def handle(self, *, month: date, to: Path, drop: bool, **options: Any) -> None:
        try:
            if drop:
                dropping.check_can_drop(month)
            export = exporting.export_month(month, to)
            self.stdout.write(f"{export.records:,} records in {export.path}")
            self.stdout.write(f"SHA-256 {export.sha256}, in {export.checksum_path.name}")
            if drop:
                dropping.drop_month(export)
                self.stdout.write("Dropped. What they cost stays in the books and the reports.")
        except AppError as error:
            raise CommandError(error.message) from error
        except FileExistsError as error:
            raise CommandError(f"{error.args[0]} is there already.") from error


def _month(text: str) -> date:
    return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
