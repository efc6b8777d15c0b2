"""One POST to an address that staff have entered."""

import asyncio
from collections.abc import Mapping

import aiohttp
from yarl import URL

from billing.alerts.message import DeliveryFailed
from core import closed_addresses
from core.closed_addresses import ClosedAddress

TIMEOUT = 10.0  # seconds for all of it


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send JSON; raise `DeliveryFailed` unless the answer is 2xx. Redirects are not followed."""
    if not url:
        raise DeliveryFailed("Its address cannot be read: enter it anew.")
    try:
        status = asyncio.run(_post(url, body, headers))
    except TimeoutError as error:
        raise DeliveryFailed(f"No answer within {TIMEOUT:g} seconds.") from error
    except aiohttp.ClientConnectorDNSError as error:
        raise DeliveryFailed("The name of the host is not known.") from error
    except aiohttp.ClientSSLError as error:
        raise DeliveryFailed("The connection is not safe: TLS failed.") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if isinstance(getattr(error, "os_error", error), ClosedAddress):
            raise DeliveryFailed("Nothing is sent to this address: it is closed.") from error
        raise DeliveryFailed(f"There is no connection ({type(error).__name__}).") from error
    if not 200 <= status < 300:
        raise DeliveryFailed(f"The receiver answered {status}.")


async def _post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    if closed_addresses.is_closed(URL(url).host or ""):
        raise ClosedAddress
    sent = {"Content-Type": "application/json", "User-Agent": "Parley", **headers}
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(socket_factory=closed_addresses.open_socket),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        ) as session,
        session.post(url, data=body, headers=sent, allow_redirects=False) as response,
    ):
        return response.status
