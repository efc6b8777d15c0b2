"""Where a key comes from, and what is wrong where there is none."""

import os
from collections.abc import Sequence

from llm.credentials import secrets, variables
from llm.models import Credential, Provider
from llm.presets import needs_key


def secret_of(credential: Credential) -> str:
    """Return the key; the environment wins over what is stored; empty where there is none."""
    variable = credential.environment_variable
    return _from_environment(variable) or secrets.decrypt(credential.secret_encrypted)


def source(credential: Credential) -> str:
    """Say where the key comes from, for staff, without a character of it."""
    variable = credential.environment_variable
    if variable and (objection := variables.objection(variable)):
        return f"not to be used: environment variable {variable} {objection}"
    if _from_environment(variable):
        return f"environment variable {variable}"
    if credential.secret_encrypted:
        if secrets.decrypt(credential.secret_encrypted):
            return "stored, encrypted"
        return "stored, but none of PARLEY_SECRET_KEYS can read it"
    return f"not set: environment variable {variable} is empty"


def problems(provider: Provider, credentials: Sequence[Credential]) -> list[str]:
    """Return why calls to the provider would have no key, as far as this process can see.

    Nothing is wrong with a provider that is switched off, or one that needs no key.
    """
    if not provider.is_active or not needs_key(provider.kind, provider.base_url):
        return []
    active = [credential for credential in credentials if credential.is_active]
    if not active:
        return [f"The provider {provider} needs a key and has none."]
    missing = [credential for credential in active if not secret_of(credential)]
    return [f"The key “{one.name}” of {provider} is {source(one)}." for one in missing]


def _from_environment(variable: str) -> str:
    is_usable = variable and not variables.objection(variable)
    return os.environ.get(variable, "") if is_usable else ""
