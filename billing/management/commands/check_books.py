"""`manage.py check_books`: exit 0 where every budget agrees with its usage records."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import books


class Command(BaseCommand):
    help = (
        "Look all books over: sums, limits, opening amounts, attempts that are there twice, and "
        "holds that outlived their lease. Says what is wrong, a line each, and exits with 1."
    )

    def handle(self, **options: Any) -> None:
        found = books.check()
        if found.difference_count:
            left_out = found.difference_count - len(found.lines)
            more = [f"And {left_out} more."] if left_out else []
            raise CommandError("\n".join([*found.lines, *more]))
        self.stdout.write("The books balance.")
