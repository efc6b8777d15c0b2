"""What a key may be used for and from where; what it may not is a refusal that says so."""

import ipaddress
from functools import lru_cache

from django.core.exceptions import ValidationError

from accounts.principal import Principal
from core.errors import AppError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")  # IPv4 addresses in IPv6's clothes
MOST = 100  # addresses and networks of one key
MOST_MODELS = 100  # names and patterns; each call compares them all
LONGEST_MODEL = 400  # characters


class ScopeMissing(AppError):
    """The key is good, but not for this."""

    code = "scope_missing"
    http_status = 403


class AddressNotAllowed(AppError):
    """The key is good, but not from here."""

    code = "address_not_allowed"
    http_status = 403


def check_scope(principal: Principal, *enough: str) -> None:
    """Raise `ScopeMissing` where a key has scopes and none of these, of which each is enough."""
    if any(enough) and principal.scopes and not set(enough).intersection(principal.scopes):
        raise ScopeMissing(
            f"This key may not be used for this: it lacks the scope `{enough[0]}`.",
            details={"scope": enough[0]},
        )


def check_address(principal: Principal, address: str) -> None:
    """Raise `AddressNotAllowed` where a key has addresses and this is in none of them."""
    if principal.allowed_addresses and not _is_within(address, principal.allowed_addresses):
        raise AddressNotAllowed(f"This key may not be used from {address or 'an unknown address'}.")


def lines_of(text: str) -> tuple[str, ...]:
    """Return what stands on the lines of a field, without blanks."""
    return tuple(filter(None, map(str.strip, text.splitlines())))


def validate_addresses(text: str) -> None:
    """Raise `ValidationError` naming the first line that is no address and no network."""
    lines = lines_of(text)
    if len(lines) > MOST:
        raise ValidationError(f"At most {MOST} addresses and networks.")
    for line in lines:
        try:
            network = ipaddress.ip_network(line)
        except ValueError as error:
            raise ValidationError(f"“{_shown(line)}” cannot be used: {_reason(error)}.") from None
        if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(MAPPED):
            raise ValidationError(f"“{_shown(line)}” means IPv4 addresses: write them as such.")


def validate_models(text: str) -> None:
    """Raise `ValidationError` for more names, or longer ones, than each call can compare."""
    lines = lines_of(text)
    if len(lines) > MOST_MODELS:
        raise ValidationError(f"At most {MOST_MODELS} names.")
    if any(len(line) > LONGEST_MODEL for line in lines):
        raise ValidationError(f"A name has at most {LONGEST_MODEL} characters.")


def _shown(line: str) -> str:
    """Return a line as an error can say it: half of a character cannot be sent."""
    return line[:60].encode(errors="replace").decode()


def _reason(error: ValueError) -> str:
    if "host bits" in str(error):
        return "a network ends in zeros, as in 10.0.0.0/8"
    return "it is no address and no network"


def _is_within(address: str, allowed: tuple[str, ...]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # nobody can say where the caller is
        return False
    return any(found in network for network in _networks(allowed))


@lru_cache(maxsize=1024)
def _networks(allowed: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(ipaddress.ip_network, allowed))
