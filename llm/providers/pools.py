"""Connections to vendors, kept for the next call: one pool per provider and event loop."""

import asyncio
from collections.abc import Mapping
from functools import cached_property, lru_cache
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.connector import Connection as Line
from yarl import URL

from core import closed_addresses
from core.loop_local import LoopLocal
from llm.errors import AuthenticationFailed, ConnectionFailed
from llm.providers import addresses
from llm.providers.base import Connection

KEEP_SECONDS = 30  # an idle connection
DNS_SECONDS = 60  # an address


class Endpoint:
    """Where a call goes and what it carries besides its body; worked out once."""

    def __init__(self, connection: Connection, url: URL, headers: Mapping[str, str]) -> None:
        self.provider = connection.name
        self.max_connections = connection.max_connections
        self.url = url
        self.headers = {**headers, "Accept-Encoding": "identity"}
        is_direct = not url.host or proxy_bypass(url.host)
        proxy = None if is_direct else getproxies().get(url.scheme)
        self.proxy = URL(proxy) if proxy else None


def endpoint(connection: Connection, url: str, headers: Mapping[str, str]) -> Endpoint:
    """Return the endpoint with the proxy that the environment names for it.

    Raises `ProviderError` where address or key are such that nothing could be sent.
    """
    name = connection.name
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise AuthenticationFailed(f"The key of {name} has a character that cannot be sent.")
    try:
        target = URL(url)
    except ValueError as error:
        raise ConnectionFailed(f"The address of {name} is not one.") from error
    if target.scheme not in ("http", "https") or not target.host:
        raise ConnectionFailed(f"The address of {name} is not one.")
    if closed_addresses.is_closed(target.host):  # a proxy would connect to it for us
        raise addresses.refusal(name)
    return Endpoint(connection, target, headers)


async def connect(target: Endpoint, seconds: float) -> tuple[Line, bytes]:
    """Return a free connection and the head to send, up to the number after `Content-Length:`.

    Raises `TimeoutError` where there is none in time: because the vendor does not take it, or all
    that the provider may have are in use.
    """
    return await _pool(target).connect(target, seconds)


async def close() -> None:
    """Close this event loop's connections."""
    for pool in (_pools.pop() or {}).values():
        await pool.connector.close()


class _Pool:
    """The connections to one provider."""

    def __init__(self, limit: int) -> None:
        self.connector = aiohttp.TCPConnector(
            limit=limit,
            ttl_dns_cache=DNS_SECONDS,
            keepalive_timeout=KEEP_SECONDS,
            socket_factory=closed_addresses.open_socket,
        )
        self._templates: WeakKeyDictionary[Endpoint, _Template] = WeakKeyDictionary()

    async def connect(self, target: Endpoint, seconds: float) -> tuple[Line, bytes]:
        template = self._templates.get(target)
        if template is None:
            template = self._templates[target] = _Template(target)
        line = await self.connector.connect(template.request, [], _patience(seconds))
        # Only now: on its way the connector has added what a proxy wants to know.
        return line, template.head


class _Template:
    """What all calls to an endpoint begin with."""

    def __init__(self, target: Endpoint) -> None:
        # Address and credentials in aiohttp's words. It is never sent itself.
        self.request = aiohttp.ClientRequest(
            "POST",
            target.url,
            headers=target.headers,
            proxy=target.proxy,
            loop=asyncio.get_running_loop(),
        )

    @cached_property
    def head(self) -> bytes:
        request = self.request
        is_for_proxy = request.proxy is not None and not request.is_ssl()
        path = str(request.url) if is_for_proxy else request.url.raw_path_qs
        lines = [f"POST {path} HTTP/1.1"]
        for name, value in request.headers.items():
            if name != "Content-Length":  # it comes last, with the number of each call
                lines.append(f"{name}: {value}")
        return "\r\n".join([*lines, "Content-Length: "]).encode("ascii")


def _pool(target: Endpoint) -> _Pool:
    """Return the provider's pool. After a change of its limit it is a new one.

    The old one lets its idle connections go by itself.
    """
    pools = _pools.get()
    key = (target.provider, target.max_connections)
    pool = pools.get(key)
    if pool is None:
        pool = pools[key] = _Pool(target.max_connections)
    return pool


@lru_cache(maxsize=256)
def _patience(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(connect=seconds)


_pools: LoopLocal[dict[tuple[str, int], _Pool]] = LoopLocal(dict)
