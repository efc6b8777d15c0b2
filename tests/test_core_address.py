"""Who is behind a connection: nobody becomes somebody else by what they write into a header."""

import ipaddress
from collections.abc import Iterator
from ipaddress import ip_network
from random import Random

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from pytest_django import Settings

from config import environment
from core import address

PROXY, SECOND, CLIENT, STRANGER = "10.0.0.1", "10.0.0.2", "192.0.2.7", "203.0.113.9"


@pytest.fixture(autouse=True)
def trusted(settings: Settings) -> Iterator[None]:
    settings.TRUSTED_PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))
    address.caller.cache_clear()
    yield
    address.caller.cache_clear()


def caller(peer: str | None, *forwarded: str) -> str:
    return address.of_scope(
        {
            "client": (peer, 1234) if peer is not None else None,
            "headers": [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded],
        }
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        (CLIENT, [], CLIENT),
        (CLIENT, [STRANGER], CLIENT),  # not a proxy: what it says counts for nothing
        (CLIENT, [PROXY], CLIENT),
        (PROXY, [], PROXY),
        (PROXY, [CLIENT], CLIENT),
        (PROXY, [f"{STRANGER}, {CLIENT}"], CLIENT),  # the client wrote the left one
        (PROXY, [f"{STRANGER}, {CLIENT}, {SECOND}"], CLIENT),
        (PROXY, [STRANGER, f"{CLIENT},{SECOND}"], CLIENT),  # two headers are one list
        (PROXY, [f"{PROXY}, {CLIENT}"], CLIENT),
        (PROXY, [f"{SECOND}, {PROXY}"], SECOND),  # proxies all the way
        (PROXY, ["unknown"], PROXY),
        (PROXY, [f"{STRANGER}, nonsense"], PROXY),
        (PROXY, [f"{STRANGER}, "], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, [f"{CLIENT}:4711"], CLIENT),
        (PROXY, ["[2001:db8::1]:4711"], "2001:db8::/64"),
        (PROXY, ["2001:db8:0:0:1:2:3:4"], "2001:db8::/64"),
        (PROXY, [f"{STRANGER}, 2001:db8:ffff::5"], STRANGER),
        (f"::ffff:{CLIENT}", [], CLIENT),
        ("::ffff:10.0.0.1", [CLIENT], CLIENT),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, [CLIENT], ""),  # a Unix socket
        ("", [CLIENT], ""),
        ("unix:", [CLIENT], ""),
        (PROXY, [f"{STRANGER}," * 5000 + CLIENT], CLIENT),
        (PROXY, ["x" * 10_000], PROXY),
    ],
)
def test_the_nearest_stranger_counts(peer: str | None, forwarded: list[str], expected: str) -> None:
    assert caller(peer, *forwarded) == expected


def test_without_trusted_proxies_the_header_counts_for_nothing(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = ()

    assert caller(PROXY, CLIENT) == PROXY


def test_whatever_is_sent_the_answer_is_whom_the_proxies_have_seen() -> None:
    random = Random(7)
    pieces = [
        PROXY,
        SECOND,
        STRANGER,
        "::1",
        "x",
        "",
        ",",
        "[",
        "]",
        ":",
        " ",
        "%",
        "é",
        "999.1.1.1",
    ]

    for _ in range(3000):
        sent = "".join(random.choice(pieces) for _ in range(random.randrange(12)))
        hops = [SECOND] * random.randrange(3)
        assert caller(PROXY, ", ".join([sent, CLIENT, *hops])) == CLIENT
        assert caller(CLIENT, sent) == CLIENT
        found = caller(PROXY, sent)  # a proxy that adds nothing: it is an address all the same
        ipaddress.ip_network(found)


def test_django_and_asgi_agree() -> None:
    request = RequestFactory().get(
        "/", REMOTE_ADDR=PROXY, headers={"X-Forwarded-For": f"{STRANGER}, {CLIENT}"}
    )

    assert address.of_request(request) == CLIENT


def test_a_wrong_network_stops_the_start() -> None:
    assert (
        environment.networks("PARLEY_TRUSTED_PROXIES", ["10.0.0.1", "2001:db8::/32"])[1].prefixlen
        == 32
    )
    with pytest.raises(ImproperlyConfigured, match="PARLEY_TRUSTED_PROXIES"):
        environment.networks("PARLEY_TRUSTED_PROXIES", ["proxy.example"])
