"""Which of a provider's keys a call is made with, and which ones the vendor has refused.

A key that the vendor refuses is set aside: in this process at once, in the others when they read
the routes, within a second. It stays so for `SET_ASIDE`, or until staff say otherwise: a vendor
that refuses good keys for a minute would else need somebody to take them all back by hand.
"""

import random
import time
from dataclasses import replace
from datetime import timedelta

import structlog
from asgiref.sync import sync_to_async
from django.utils import timezone

from core.cached import MAX_AGE
from core.database import translate_outage
from core.errors import DependencyDown
from core.open_work import OpenWork
from llm.credentials.secrets import encrypt, fingerprint
from llm.credentials.sources import problems, secret_of, source
from llm.credentials.variables import objection
from llm.errors import AuthenticationFailed, ProviderError
from llm.models import Auth, Credential, Provider
from llm.presets import needs_key
from llm.providers import Connection, Deployment

__all__ = [
    "SET_ASIDE",
    "choose",
    "close",
    "connections_of",
    "encrypt",
    "endpoint_of",
    "is_set_aside",
    "objection",
    "problems",
    "secret_of",
    "set_aside",
    "source",
    "use_again",
]

logger = structlog.get_logger(__name__)

SET_ASIDE = timedelta(minutes=10)
NOTE_SECONDS = 2 * MAX_AGE  # after which what was written has been read

# What was refused in this process, until it comes back with the routes. The moment is of
# `time.monotonic`; the secret is part of it, for a new one has not been refused.
_refused: dict[tuple[int, str], float] = {}
_writes = OpenWork()


def connections_of(provider: Provider) -> tuple[Connection, ...]:
    """Return a connection for each key that can be used now or later; never none.

    Reads `provider.credentials`: prefetch them.
    """
    rows = list(provider.credentials.all())
    found = tuple(
        _connection(provider, row, secret)
        for row in rows
        if row.is_active and (secret := secret_of(row))
    )
    return found or (_without_key(provider, rows),)


def choose(deployment: Deployment) -> Connection:
    """Return the connection to call the deployment over: one that is not set aside, by weight.

    Raises `AuthenticationFailed` where there is none.
    """
    usable = [one for one in deployment.connections if _is_usable(one)]
    if len(usable) == 1:
        return usable[0]
    if not usable:
        raise AuthenticationFailed(f"The provider {deployment.provider} has no key to be used.")
    weights = [one.weight for one in usable]
    return random.choices(usable, weights if any(weights) else None)[0]  # noqa: S311 - no secret


def set_aside(deployment: Deployment, connection: Connection, error: ProviderError) -> bool:
    """Use the key no more if `error` refuses it; return whether the deployment has another one.

    A key that may not do this one thing (403 for a model) is good for others, and stays.
    """
    pk = connection.credential_id
    if pk is None or not error.refuses_key:
        return False
    note = (pk, connection.api_key)
    if note not in _refused:
        _refused[note] = float("inf")
        logger.warning(
            "llm.key_set_aside", provider=connection.name, credential_id=pk, reason=error.code
        )
        _writes.go_on(_write(note, error.code))
    return any(_is_usable(other) for other in deployment.connections)


def use_again(credential: Credential) -> None:
    """Let calls be made with a key that was set aside; all processes do within a second."""
    Credential.objects.filter(pk=credential.pk).update(
        set_aside_at=None, set_aside_reason="", set_aside_secret=""
    )
    for note in [note for note in _refused if note[0] == credential.pk]:
        _refused.pop(note, None)


def is_set_aside(credential: Credential, secret: str) -> bool:
    """Return whether the vendor has lately refused this very key."""
    since = credential.set_aside_at
    if since is None or timezone.now() - since > SET_ASIDE:
        return False
    return credential.set_aside_secret == fingerprint(secret)


async def close() -> None:
    """Return when every refusal is written, at the end of the process."""
    await _writes.finish()


def _connection(provider: Provider, row: Credential, secret: str) -> Connection:
    return replace(
        endpoint_of(provider),
        api_key=secret,
        credential_id=row.pk,
        weight=row.weight,
        is_set_aside=is_set_aside(row, secret),
    )


def _without_key(provider: Provider, rows: list[Credential]) -> Connection:
    """Return a connection without a key; only a server that asks for none is called over it."""
    is_off = bool(rows) and not any(row.is_active for row in rows)
    is_missing = bool(rows) and needs_key(provider.kind, provider.base_url)
    return replace(endpoint_of(provider), is_set_aside=is_off or is_missing)


def endpoint_of(provider: Provider) -> Connection:
    """Return the provider's connection without a key."""
    return Connection(
        name=provider.name,
        kind=provider.kind,
        base_url=provider.base_url,
        api_version=provider.api_version,
        is_token=provider.auth == Auth.TOKEN,
        max_connections=provider.max_connections,
    )


def _is_usable(connection: Connection) -> bool:
    if connection.is_set_aside:
        return False
    if not _refused or connection.credential_id is None:
        return True
    note = (connection.credential_id, connection.api_key)
    until = _refused.get(note)
    if until is None or time.monotonic() < until:
        return until is None
    del _refused[note]
    return True


async def _write(note: tuple[int, str], reason: str) -> None:
    """Tell the other processes. If that fails, the next refusal tries again."""
    try:
        await sync_to_async(_store, thread_sensitive=False)(note, reason)
    except DependencyDown:
        logger.warning("llm.key_not_written_as_set_aside", credential_id=note[0])
    if note in _refused:
        _refused[note] = time.monotonic() + NOTE_SECONDS


def _store(note: tuple[int, str], reason: str) -> None:
    pk, secret = note
    with translate_outage():
        Credential.objects.filter(pk=pk).update(
            set_aside_at=timezone.now(),
            set_aside_reason=reason,
            set_aside_secret=fingerprint(secret),
        )
