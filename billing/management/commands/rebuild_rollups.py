"""The sums of reports, made anew from the usage records."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from billing.reports import rollups


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no date such as 2026-11-21") from None


class Command(BaseCommand):
    help = "Make the sums that reports read anew from the usage records, safely while calls run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", type=_day, help="The day (UTC) to begin with; else the oldest record's."
        )

    def handle(self, *, since: datetime | None, verbosity: int, **options: Any) -> None:
        count = rollups.rebuild(since)
        if verbosity:
            self.stdout.write(f"{count:,} hours made anew.")
