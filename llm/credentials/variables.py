"""Which environment variables may be a provider's key.

Staff name the variable and the address that its value is sent to, so what the machine keeps for
others must not be within their reach: by default only what is called like a key.
"""

import re

from django.conf import settings

OWN = frozenset(["DATABASE_URL", "EMAIL_HOST_PASSWORD", "PGPASSWORD", "REDIS_URL"])
OWN_BEGINNING = "PARLEY_"
KEY = re.compile(r".+_(KEY|TOKEN|SECRET)(_?[0-9]+)?")
# What the machine itself signs in with, where it is called like a key.
OF_THE_MACHINE = ("AWS_", "AZURE_CLIENT_", "DJANGO_", "KUBERNETES_", "VAULT_")


def objection(variable: str) -> str:
    """Return why the variable may not be a provider's key; empty where it may."""
    name = variable.upper()
    if name in OWN or name.startswith(OWN_BEGINNING):
        return "is Parley's own"
    if variable in settings.KEY_VARIABLES:
        return ""
    if name.startswith(OF_THE_MACHINE):
        return "is the machine's own, and not listed in PARLEY_KEY_VARIABLES"
    if not KEY.fullmatch(name):
        return "is not called …_KEY, …_TOKEN or …_SECRET, nor listed in PARLEY_KEY_VARIABLES"
    return ""
