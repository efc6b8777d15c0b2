"""Whether a provider can be reached and takes its keys: the cheapest honest call with each."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm import credentials
from llm.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ModelMissing,
    ProviderError,
    ProviderPermissionDenied,
    TimedOut,
)
from llm.models import Credential, Provider
from llm.providers import Connection, provider_for
from llm.providers.base import Lister

SECONDS = 5.0

MEANINGS: dict[type[ProviderError], str] = {
    AuthenticationFailed: "The key is refused.",
    ProviderPermissionDenied: "The key is known, but may not list the models.",
    ConnectionFailed: "The address cannot be reached.",
    TimedOut: f"There was no answer within {SECONDS:.0f} seconds.",
    ModelMissing: "The server answers, but lists no models at this address.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of the call with one key."""

    credential: Credential | None  # None: without a key
    is_good: bool
    text: str  # safe to show


async def try_keys(provider: Provider, keys: Sequence[Credential]) -> list[Finding]:
    """Return what comes of listing the models with each of the keys, or without any."""
    if not keys:
        return [await _try(credentials.endpoint_of(provider), None)]
    return list(await asyncio.gather(*(_try_key(provider, key) for key in keys)))


async def _try_key(provider: Provider, key: Credential) -> Finding:
    secret = credentials.secret_of(key)
    if not secret:
        return Finding(key, is_good=False, text=f"The key is {credentials.source(key)}.")
    return await _try(replace(credentials.endpoint_of(provider), api_key=secret), key)


async def _try(connection: Connection, key: Credential | None) -> Finding:
    started_at = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            provider = provider_for(connection)
            if not isinstance(provider, Lister):
                return Finding(key, is_good=False, text="This kind of provider lists no models.")
            models = await provider.models()
    except TimeoutError:
        return Finding(key, is_good=False, text=MEANINGS[TimedOut])
    except ProviderError as error:
        error.hide(connection.api_key)
        return Finding(key, is_good=False, text=MEANINGS.get(type(error), error.message))
    took = round((time.monotonic() - started_at) * 1000)
    return Finding(key, is_good=True, text=f"It works: {len(models)} models, {took} ms.")
