"""`manage.py rerate`: what days would have cost at the prices that are in force now."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from billing.corrections import rerating
from billing.corrections.rerating import Answer, Line, Question
from billing.models import Price
from core.errors import AppError


class Command(BaseCommand):
    help = "Show what days would have cost at today's prices, or propose the difference."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--provider", required=True)
        parser.add_argument("--from", required=True, type=date.fromisoformat, dest="first")
        parser.add_argument("--to", required=True, type=date.fromisoformat, dest="last")
        parser.add_argument("--model", action="append", default=[], help="repeat for several")
        parser.add_argument("--price", type=int, help="the id of a price, for all of them")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--dry-run", action="store_true", help="only show")
        what.add_argument(
            "--propose-as", metavar="USER", help="propose it as this person, for another to post"
        )
        parser.add_argument("--reason", default="Other prices")

    def handle(self, **options: Any) -> None:
        question = Question(
            first=options["first"],
            last=options["last"],
            provider=options["provider"],
            models=tuple(options["model"]),
            price=_price(options["price"]),
        )
        self._show(rerating.dry_run(question))
        if options["propose_as"]:
            self._propose(question, options["propose_as"], options["reason"])

    def _show(self, answer: Answer) -> None:
        self.stdout.write(f"{'model':<40}{'attempts':>10}{'old':>16}{'new':>16}{'difference':>16}")
        for line in answer.rows:
            self.stdout.write(_row(line))

    def _propose(self, question: Question, username: str, reason: str) -> None:
        try:
            user = User.objects.get(username=username, is_staff=True)
            correction = rerating.propose(question, by=user, reason=reason)
        except User.DoesNotExist as error:
            raise CommandError(f"{username} is not one of the staff.") from error
        except AppError as error:
            raise CommandError(error.message) from error
        count = correction.adjustments.count()
        self.stdout.write(f"Proposed {count} adjustments; another of the staff posts them.")


def _price(pk: int | None) -> Price | None:
    if pk is None:
        return None
    price = Price.objects.filter(pk=pk).prefetch_related("tiers").first()
    if price is None:
        raise CommandError(f"There is no price {pk}.")
    return price


def _row(line: Line) -> str:
    amounts = f"{line.old_usd:>16.6f}{line.new_usd:>16.6f}{line.difference_usd:>+16.6f}"
    remarks = []
    if line.newly_priced:
        remarks.append(f"{line.newly_priced} get a price")
    if line.still_unpriced:
        remarks.append(f"{line.still_unpriced} stay without one")
    return f"{line.model:<40}{line.attempts:>10}{amounts}  {', '.join(remarks)}".rstrip()
