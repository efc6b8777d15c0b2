"""`manage.py rotate_secrets`: encrypt stored keys anew, with the newest of PARLEY_SECRET_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from llm.credentials import secrets
from llm.models import Credential


class Command(BaseCommand):
    help = (
        "Encrypt all stored keys with the newest of PARLEY_SECRET_KEYS. When it has ended well, "
        "the older ones may go. Safe to stop, and to run again."
    )

    def handle(self, **options: Any) -> None:
        unreadable = 0
        stored = Credential.objects.exclude(secret_encrypted="").select_related("provider")
        for row in stored.order_by("provider__name", "name"):
            said = _rotate(row)
            unreadable += said is None
            self.stdout.write(f"{row}: {said or 'no key of PARLEY_SECRET_KEYS can read it'}")
        if unreadable:
            raise CommandError(
                f"Stored keys that cannot be read: {unreadable}. "
                "Add the old value to PARLEY_SECRET_KEYS, or enter the keys anew in the admin."
            )


def _rotate(row: Credential) -> str | None:
    """Return what was done with the row; `None` where it cannot be read."""
    before = row.secret_encrypted
    rotated = secrets.rotate(before)
    if rotated is None:
        return None
    if row.secret_key_id == secrets.newest_key_id():
        return "has the newest key already"
    # Only what was read: a new secret that staff have just entered is not to be lost.
    same = Credential.objects.filter(pk=row.pk, secret_encrypted=before)
    if not same.update(secret_encrypted=rotated, secret_key_id=secrets.newest_key_id()):
        return "was changed meanwhile"
    return "encrypted anew"
