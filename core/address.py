"""Where a caller comes from: the peer, or what a proxy that staff trust says of it."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

HEADER = b"x-forwarded-for"
MOST = 8  # proxies in a row
LONGEST = 60  # characters of what one says
GROUP = 64  # bits of an IPv6 address: what one customer of a network has at the least


def of_scope(scope: dict[str, Any]) -> str:
    """Return who is behind an ASGI connection; "" where nobody can say (a Unix socket)."""
    peer = scope.get("client")
    if not peer:
        return ""
    return caller(peer[0], _forwarded(scope))


def exact_of_scope(scope: dict[str, Any]) -> str:
    """Return the same as `of_scope`, with all of an IPv6 address: for lists of who may come in."""
    peer = scope.get("client")
    if not peer:
        return ""
    return exact_caller(peer[0], _forwarded(scope))


def of_request(request: HttpRequest) -> str:
    """Return who is behind a request to Django."""
    return caller(*_said_by(request))


def exact_of_request(request: HttpRequest) -> str:
    """Return the same as `of_request`, with all of an IPv6 address."""
    return exact_caller(*_said_by(request))


@lru_cache(maxsize=4096)
def caller(peer: str, forwarded: tuple[str, ...] = ()) -> str:
    """Return the nearest address that is not a trusted proxy's; IPv6 as its network of 64 bits.

    `forwarded` is what `X-Forwarded-For` says. Each proxy adds on the right whom it has seen, so
    what is left of the first stranger was written by the stranger.
    """
    address = _stranger(peer, forwarded)
    return "" if address is None else _grouped(address)


@lru_cache(maxsize=4096)
def exact_caller(peer: str, forwarded: tuple[str, ...] = ()) -> str:
    """Return the same as `caller`, with all of an IPv6 address."""
    address = _stranger(peer, forwarded)
    return "" if address is None else str(address)


def _forwarded(scope: dict[str, Any]) -> tuple[str, ...]:
    """Return what proxies say, where there are some that staff trust."""
    if not settings.TRUSTED_PROXIES:
        return ()
    return _nearest([str(value, "latin-1") for name, value in scope["headers"] if name == HEADER])


def _said_by(request: HttpRequest) -> tuple[str, tuple[str, ...]]:
    value = request.META.get("HTTP_X_FORWARDED_FOR")
    return request.META.get("REMOTE_ADDR") or "", _nearest([value] if value else [])


def _stranger(peer: str, forwarded: tuple[str, ...]) -> Address | None:
    address = _parse(peer)
    if address is None:
        return None
    for said in reversed(forwarded):
        before = _parse(said) if _is_trusted(address) else None
        if before is None:  # this is a stranger, or a proxy that does not know either
            break
        address = before
    return address


def _nearest(values: Sequence[str]) -> tuple[str, ...]:
    """Return the last entries of the header, short enough to be remembered."""
    entries = ",".join(values).rsplit(",", MOST)[-MOST:] if values else []
    return tuple(entry.strip()[:LONGEST] for entry in entries)


def _parse(text: str) -> Address | None:
    """Return the address, also where it has a port: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)


def _grouped(address: Address) -> str:
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, GROUP), strict=False))
