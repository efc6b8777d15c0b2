"""`manage.py check --database default` tells of providers whose keys are missing."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DatabaseError

from llm import credentials
from llm.models import Provider

HINT = "Set the variable where the web processes run, or enter the key in the admin."


# A warning and no error: the process that checks need not be the one that calls the vendor, and one
# provider without its key is no reason to keep the others from starting.
@register(Tags.database)
def check_keys(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Return a warning for each key that is not there; it names the variable, never the key."""
    if not databases or Provider.objects.db not in databases:
        return []
    try:
        providers = list(Provider.objects.filter(is_active=True).prefetch_related("credentials"))
    except DatabaseError:  # before the first migration there are no tables; `migrate` checks, too
        return []
    return [
        Warning(problem, hint=HINT, id="llm.W001")
        for provider in providers
        for problem in credentials.problems(provider, list(provider.credentials.all()))
    ]
