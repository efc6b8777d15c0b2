"""One POST to an address that staff have entered."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from billing.alerts.message import DeliveryFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TIMEOUT = 10.0  # seconds for all of it
# Link-local, and where else clouds tell their machines secrets; multicast, and this very machine.
CLOSED = tuple(
    map(
        ipaddress.ip_network,
        (
            *("169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "ff00::/8", "0.0.0.0/32", "::/128"),
            *("fd00:ec2::/32", "fd20:ce::254/128"),  # AWS and Google
            *("168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32"),  # Azure, Alibaba, Oracle
        ),
    )
)
TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # IPv4, for networks that have IPv6 alone


class ForbiddenAddress(Exception):
    """Nothing is sent there."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send JSON; raise `DeliveryFailed` unless the answer is 2xx. Redirects are not followed."""
    if not url:
        raise DeliveryFailed("Its address cannot be read: enter it anew.")
    try:
        status = asyncio.run(_post(url, body, headers))
    except ForbiddenAddress as error:
        raise DeliveryFailed("Nothing is sent to this address: it is closed.") from error
    except TimeoutError as error:
        raise DeliveryFailed(f"No answer within {TIMEOUT:g} seconds.") from error
    except aiohttp.ClientConnectorDNSError as error:
        raise DeliveryFailed("The name of the host is not known.") from error
    except aiohttp.ClientSSLError as error:
        raise DeliveryFailed("The connection is not safe: TLS failed.") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise DeliveryFailed(f"There is no connection ({type(error).__name__}).") from error
    if not 200 <= status < 300:
        raise DeliveryFailed(f"The receiver answered {status}.")


async def _post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    host = URL(url).host or ""
    _check(host)
    sent = {"Content-Type": "application/json", "User-Agent": "Parley", **headers}
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_CarefulResolver()),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        ) as session,
        session.post(url, data=body, headers=sent, allow_redirects=False) as response,
    ):
        return response.status


class _CarefulResolver(AbstractResolver):
    """Looks a name up, and lets what it found be connected to if it is allowed."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await ThreadedResolver().resolve(host, port, family)
        for one in found:
            _check(one["host"])
        return found

    async def close(self) -> None:
        """Nothing is kept open."""


def _check(host: str) -> None:
    """Raise `ForbiddenAddress` for an address that leads to no receiver; a name is none."""
    try:
        address = _inner(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return
    if any(address in network for network in CLOSED):
        raise ForbiddenAddress(host)


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
