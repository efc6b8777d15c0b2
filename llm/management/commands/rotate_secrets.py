"""`manage.py rotate_secrets`: encrypt secrets anew, with the newest of PARLEY_SECRET_KEYS."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.models import AlertChannel
from llm.credentials import secrets
from llm.models import Credential


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets with the newest of PARLEY_SECRET_KEYS. When it has ended well, "
        "the older ones may go. Safe to stop, and to run again."
    )

    def handle(self, **options: Any) -> None:
        unreadable = 0
        for row in _stored():
            said = _rotate(row)
            unreadable += said is None
            self.stdout.write(f"{row}: {said or 'no key of PARLEY_SECRET_KEYS can read it'}")
        if unreadable:
            raise CommandError(
                f"Stored secrets that cannot be read: {unreadable}. "
                "Add the old value to PARLEY_SECRET_KEYS, or enter the keys anew in the admin."
            )


def _stored() -> Iterator[Credential | AlertChannel]:
    keys = Credential.objects.exclude(secret_encrypted="").select_related("provider")
    yield from keys.order_by("provider__name", "name")
    yield from AlertChannel.objects.exclude(secret_encrypted="")


def _rotate(row: Credential | AlertChannel) -> str | None:
    """Return what was done with the row; `None` where it cannot be read."""
    before = row.secret_encrypted
    rotated = secrets.rotate(before)
    if rotated is None:
        return None
    if row.secret_key_id == secrets.newest_key_id():
        return "has the newest key already"
    # Only what was read: a new secret that staff have just entered is not to be lost.
    same = type(row)._default_manager.filter(pk=row.pk, secret_encrypted=before)
    if not same.update(secret_encrypted=rotated, secret_key_id=secrets.newest_key_id()):
        return "was changed meanwhile"
    return "encrypted anew"
