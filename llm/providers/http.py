"""Calls to vendors over HTTP: one session per provider and event loop, errors in our classes."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from core.loop_local import LoopLocal
from llm.errors import ConnectionFailed, MalformedAnswer, ProviderError, TimedOut
from llm.providers import classify
from llm.providers.base import Connection

LARGE_BODY = 1_000_000  # bytes; above, the body is written piece by piece
LONGEST_REFUSAL = 65_536  # bytes that are read of an error's body


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. Until the first content the caller's deadline counts as well."""

    connect: float = 10.0
    idle: float = 120.0  # between two pieces of a stream
    total: float = 1800.0
    drain: float = 0.25  # for the end of a connection that has said everything


TIMEOUTS = Timeouts()

_sessions: LoopLocal[dict[str, aiohttp.ClientSession]] = LoopLocal(dict)  # by provider


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a call goes, and what it carries besides its body."""

    connection: Connection
    url: str
    headers: Mapping[str, str]
    proxy: str | None


def endpoint(connection: Connection, url: str, headers: Mapping[str, str]) -> Endpoint:
    """Return the endpoint with the proxy that the environment names for it."""
    parts = urlsplit(url)
    is_direct = not parts.hostname or proxy_bypass(parts.hostname)
    proxy = None if is_direct else getproxies().get(parts.scheme)
    return Endpoint(connection, url, {**headers, "Accept-Encoding": "identity"}, proxy)


@asynccontextmanager
async def post(
    target: Endpoint, body: bytes, *, is_streamed: bool
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send `body` and give the answer, whose status is 200; leaving early hangs up.

    Raises `ProviderError` for whatever goes wrong, also while the block reads the answer.
    """
    name = target.connection.name
    timeout = aiohttp.ClientTimeout(
        total=TIMEOUTS.total,
        sock_connect=TIMEOUTS.connect,
        sock_read=TIMEOUTS.idle if is_streamed else None,
    )
    try:
        async with _session(name).post(
            target.url,
            data=body if len(body) < LARGE_BODY else io.BytesIO(body),
            headers=target.headers,
            proxy=target.proxy,
            timeout=timeout,
            allow_redirects=False,  # it would carry the key elsewhere
        ) as response:
            if response.status != 200:
                refused = await response.content.read(LONGEST_REFUSAL)
                raise classify.refusal(name, response.status, refused, response.headers)
            yield response
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _classified(name, error) from error


async def drain(response: aiohttp.ClientResponse) -> None:
    """Read the end of an answer that has said everything, so that its connection is kept."""
    if response.content.at_eof():
        return
    try:
        async with asyncio.timeout(TIMEOUTS.drain):
            await response.read()
    except (TimeoutError, aiohttp.ClientError):
        return  # the connection is closed instead


async def close() -> None:
    """Close this event loop's sessions."""
    for session in (_sessions.pop() or {}).values():
        await session.close()


def _session(name: str) -> aiohttp.ClientSession:
    sessions = _sessions.get()
    session = sessions.get(name)
    if session is None or session.closed:
        session = sessions[name] = aiohttp.ClientSession(
            # How many calls run at once is decided before them; a queue here would only hide it.
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
    return session


def _classified(name: str, error: Exception) -> ProviderError:
    """Return the error class; what was sent before it broke may be charged."""
    result: ProviderError
    if isinstance(error, TimeoutError):
        result = TimedOut(f"The provider {name} did not answer in time.")
        result.may_have_been_billed = not isinstance(error, aiohttp.ConnectionTimeoutError)
    elif isinstance(error, (aiohttp.ClientConnectorError, aiohttp.InvalidURL)):
        result = ConnectionFailed(f"The provider {name} cannot be reached.")
    elif isinstance(error, aiohttp.ClientResponseError):
        result = MalformedAnswer(f"The provider {name} does not answer in HTTP.")
    else:
        result = classify.broken_off(name)
    return result
