"""`manage.py exchange_rates`: enter the display currency's rates from a file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import currency
from core.errors import AppError


class Command(BaseCommand):
    help = "Enter exchange rates from a CSV file with the columns day, currency, rate."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *, file: Path, **options: Any) -> None:
        try:
            with file.open(encoding="utf-8-sig", newline="") as rows:
                count = currency.import_rates(rows, by=None, source=f"file {file.name}"[:200])
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read.") from error
        except AppError as error:
            raise CommandError(f"{file}: {error.message}") from error
        self.stdout.write(f"{count} rates are entered.")
