"""`manage.py check_books`: exit 0 where every budget agrees with its usage records."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import books


class Command(BaseCommand):
    help = "Compare what budgets say was spent and is held with the sum of their usage records."

    def handle(self, **options: Any) -> None:
        found = books.differences()
        if found:
            raise CommandError("\n".join(found))
        self.stdout.write("The books balance.")
