"""The history of a thing that the admin shows: who did what to it, and when."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Model


def write_down(thing: Model, by: AbstractBaseUser | None, text: str, flag: int = CHANGE) -> None:
    """Add a line to the history of `thing`, where it was a person who did it."""
    if by is not None:
        LogEntry.objects.log_actions(by.pk, [thing], flag, text, single_object=True)
