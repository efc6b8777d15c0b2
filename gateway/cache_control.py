"""What a program says about the cache: `Cache-Control` as in RFC 9111, and two headers of ours."""

from collections.abc import Callable
from typing import get_args

from core.errors import InvalidRequest
from llm.types import CacheMode, CacheWish

MODE = "X-Parley-Cache"
SECONDS = "X-Parley-Cache-TTL"
LONGEST = 2**31  # seconds; RFC 9111 takes what is longer for this
MOST_DIGITS = 10

ANYTHING = CacheWish()


def wish_of(header: Callable[[bytes], str]) -> CacheWish:
    """Return what the request's headers ask for; of several, the narrowest."""
    control, mode, seconds = map(
        header, (b"cache-control", MODE.lower().encode(), SECONDS.lower().encode())
    )
    if not (control or mode or seconds):
        return ANYTHING
    directives = dict(map(_directive, control.split(",")))
    return CacheWish(
        mode=_narrowest(_mode(mode), directives),
        seconds=_whole(seconds, SECONDS) if seconds else None,
        max_age=_age(directives["max-age"]) if "max-age" in directives else None,
        only_if_cached="only-if-cached" in directives,
    )


def _directive(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _mode(text: str) -> CacheMode:
    for mode in get_args(CacheMode):
        if text.strip().lower() in ("", mode):
            return mode  # type: ignore[no-any-return]  # get_args knows no types
    known = ", ".join(get_args(CacheMode))
    raise InvalidRequest(f"The header {MODE} is one of these: {known}.", param=MODE)


def _narrowest(mode: CacheMode, directives: dict[str, str]) -> CacheMode:
    """Return what is left of `mode`: "no-store" forbids both, "no-cache" only to read."""
    if "no-store" in directives:
        return "off"
    if "no-cache" in directives:
        return "write" if mode in ("on", "write") else "off"
    return mode


def _age(text: str) -> int:
    """Return the seconds; what cannot be read allows no age at all, as RFC 9111 advises."""
    return _seconds(text) if text.isascii() and text.isdigit() else 0


def _whole(text: str, name: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise InvalidRequest(f"The header {name} is a number of seconds.", param=name)
    return _seconds(text.strip())


def _seconds(digits: str) -> int:
    significant = digits.lstrip("0")
    return min(int(significant or 0), LONGEST) if len(significant) <= MOST_DIGITS else LONGEST
