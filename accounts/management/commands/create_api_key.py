"""`manage.py create_api_key --org SLUG --name NAME`: print a new key, once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import keys
from accounts.models import Organization, User

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
        _, secret = keys.create(
            organization=_organization(org),
            name=name,
            user=_user(user, org) if user else None,
            expires_at=timezone.now() + timedelta(days=expires_days) if expires_days else None,
        )
        self.stdout.write(secret)


def _organization(slug: str) -> Organization:
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Organization.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no organization {slug!r}. Known: {known}.")
    return found


def _user(username: str, org: str) -> User:
    found = User.objects.filter(username=username, organizations__slug=org).first()
    if found is None:
        raise CommandError(f"There is no user {username!r} in the organization {org!r}.")
    return found
