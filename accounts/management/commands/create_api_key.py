"""`manage.py create_api_key --org SLUG --name NAME`: print a new key, once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import keys, named
from core.errors import NotFound

LONGEST_LIFE = 36_500  # days


class Command(BaseCommand):
    help = "Make an API key and print it. It is not stored and cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--org", required=True, help="The organization's slug.")
        parser.add_argument("--name", required=True, help="What the key is for.")
        parser.add_argument("--user", help="The person it acts for; else the organization's own.")
        parser.add_argument("--expires-days", type=int, help="Days until it ends.")

    def handle(
        self, *, org: str, name: str, user: str | None, expires_days: int | None, **options: Any
    ) -> None:
        if expires_days is not None and not 1 <= expires_days <= LONGEST_LIFE:
            raise CommandError(f"--expires-days must be between 1 and {LONGEST_LIFE}.")
        try:
            organization = named.organization(org)
            member = named.member(user, organization) if user else None
        except NotFound as error:
            raise CommandError(error.message) from error
        _, secret = keys.create(
            organization=organization,
            name=name,
            user=member,
            expires_at=timezone.now() + timedelta(days=expires_days) if expires_days else None,
        )
        self.stdout.write(secret)
