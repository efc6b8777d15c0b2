"""`manage.py reconcile`: hold a vendor's cost export against the books; nothing is changed."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.corrections import reconciling
from billing.corrections.exports import reading
from billing.corrections.reconciling import Reconciliation, Row
from core.errors import AppError


class Command(BaseCommand):
    help = "Compare a cost export of OpenAI or Anthropic with the books, by day and model."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--provider", required=True, help="the provider's name in Parley")

    def handle(self, *, file: Path, provider: str, **options: Any) -> None:
        try:
            export = reading.read(file.read_bytes())
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
        except AppError as error:
            raise CommandError(f"{file}: {error.message}") from error
        self._show(reconciling.reconcile(export, provider))

    def _show(self, found: Reconciliation) -> None:
        self.stdout.write(f"{'day':<12}{'model':<36}{'charged':>14}{'booked':>14}{'more':>14}")
        for row in found.rows:
            self.stdout.write(_line(row))
            for part in row.parts:
                self.stdout.write(f"  {part.cause.value} {part.amount_usd:+.6f}: {part.words}")
        total = f"{found.charged_usd:>14.6f}{found.booked_usd:>14.6f}{found.difference_usd:>+14.6f}"
        self.stdout.write(f"{'total':<12}{found.vendor:<36}{total}")


def _line(row: Row) -> str:
    charged = "-" if row.charged_usd is None else f"{row.charged_usd:.6f}"
    booked = "-" if row.booked_usd is None else f"{row.booked_usd:.6f}"
    return f"{row.day!s:<12}{row.model:<36}{charged:>14}{booked:>14}{row.difference_usd:>+14.6f}"
