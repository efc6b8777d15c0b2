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

TIMEOUT = 10.0  # seconds for all of it
# Where clouds tell a machine its secrets, beside the link-local 169.254.169.254.
METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))


class ForbiddenAddress(Exception):
    """Nothing is sent there."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send JSON; raise `DeliveryFailed` unless the answer is 2xx. Redirects are not followed."""
    if not url:
        raise DeliveryFailed("Its address cannot be read: enter it anew.")
    try:
        status = asyncio.run(_post(url, body, headers))
    except ForbiddenAddress as error:
        raise DeliveryFailed("Nothing is sent to this address: it is link-local.") from error
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
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    is_odd = address.is_link_local or address.is_multicast or address.is_unspecified
    if is_odd or address in METADATA:
        raise ForbiddenAddress(host)
