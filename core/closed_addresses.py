"""Where nothing is sent: the addresses at which a cloud tells its machines their secrets.

Staff write the addresses of providers and receivers. Private networks stay open to them, for that
is where a company's own servers are. A name is looked at when it has been resolved, on the very
address that is then connected to, so that it cannot mean something else a moment later.
"""

import ipaddress
import socket

from aiohttp import AddrInfoType
from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

CLOSED = tuple(
    map(
        ipaddress.ip_network,
        (
            *("169.254.0.0/16", "fe80::/10"),  # link-local: AWS, Google, Azure and most others
            *("fd00:ec2::/32", "fd20:ce::254/128"),  # AWS and Google
            *("168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32"),  # Azure, Alibaba, Oracle
            *("224.0.0.0/4", "ff00::/8"),  # multicast
        ),
    )
)
TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # IPv4, for networks that have IPv6 alone
WHY = "link-local, or where a cloud keeps its machines' secrets (PARLEY_ALLOWED_ADDRESSES)"


class ClosedAddress(OSError):
    """The address is one that nothing is sent to."""


def is_closed(host: str) -> bool:
    """Return whether `host` is such an address; a name is not, whatever it means."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    address = _inner(address)
    return any(address in network for network in CLOSED) and not any(
        address in network for network in settings.ALLOWED_ADDRESSES
    )


def open_socket(target: AddrInfoType) -> socket.socket:
    """Return a socket to connect to `target` with; raise `ClosedAddress` where nobody may."""
    family, kind, protocol, _, address = target
    if is_closed(str(address[0])):
        raise ClosedAddress("Nothing is sent to this address.")
    return socket.socket(family=family, type=kind, proto=protocol)


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
