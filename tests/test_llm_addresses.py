"""Where no provider is called, whatever its name resolves to, and how much is read of a list."""

from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web

from core import closed_addresses
from llm import connection_trial, errors
from llm.models import Provider
from llm.providers import Connection, Deployment, http, listing, provider_for
from llm.providers.addresses import AddressClosed
from llm.providers.base import Lister
from tests.llm_support import ask
from tests.vendor import FakeVendor

HERE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.fixture
async def closed_pools() -> AsyncIterator[None]:
    yield
    await http.close()


pytestmark = pytest.mark.usefixtures("closed_pools")


@pytest.fixture
def vendor() -> Iterator[FakeVendor]:
    with FakeVendor("vendor") as running:
        yield running


def by_name(vendor: FakeVendor, kind: str = "openai") -> Connection:
    """Return a connection whose address is a name, so that it says nothing itself."""
    address = vendor.url.replace("127.0.0.1", "localhost")
    base_url = address if kind == "azure" else f"{address}/v1"
    return Connection(name="vendor", kind=kind, base_url=base_url)


async def call(connection: Connection, *, stream: bool = False) -> None:
    deployment = Deployment(connections=(connection,), model="m")
    async for _ in provider_for(connection).stream(ask(stream=stream), deployment):
        pass


async def list_models(connection: Connection) -> dict[str, int | None]:
    provider = provider_for(connection)
    assert isinstance(provider, Lister)
    return await provider.models()


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "169.254.1.1", "fe80::1", "[fe80::1]", "fe80::1%eth0"),
        *("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    ],
)
async def test_link_local_and_metadata_addresses_are_closed(host: str) -> None:
    literal = f"[{host.strip('[]')}]" if ":" in host else host

    assert closed_addresses.is_closed(host)
    for kind in ("openai", "anthropic"):
        with pytest.raises(AddressClosed):
            await call(Connection(name="x", kind=kind, base_url=f"http://{literal}/v1"))
        with pytest.raises(AddressClosed):
            await list_models(Connection(name="x", kind=kind, base_url=f"http://{literal}/v1"))


@pytest.mark.parametrize("host", ["10.0.0.5", "192.168.1.9", "127.0.0.1", "::1", "fd12::1", "vllm"])
def test_servers_of_ones_own_are_open(host: str) -> None:
    assert not closed_addresses.is_closed(host)


@pytest.mark.parametrize("kind", ["openai", "azure"])
async def test_a_name_is_refused_for_what_it_resolves_to(
    vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(closed_addresses, "CLOSED", HERE)
    connection = by_name(vendor, kind)

    for stream in (True, False):
        with pytest.raises(AddressClosed, match="PARLEY_ALLOWED_ADDRESSES"):
            await call(connection, stream=stream)
    with pytest.raises(AddressClosed, match="PARLEY_ALLOWED_ADDRESSES"):
        await list_models(connection)

    assert vendor.requests == []


async def test_the_trial_of_a_connection_says_why_nobody_was_called() -> None:
    provider = Provider(name="x", kind="openai", base_url="http://169.254.169.254/v1")

    [finding] = await connection_trial.try_keys(provider, [])

    assert not finding.is_good
    assert "never called" in finding.text


async def test_staff_of_the_machine_may_open_an_address(
    vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(closed_addresses, "CLOSED", HERE)
    settings.ALLOWED_ADDRESSES = HERE
    connection = by_name(vendor)

    await call(connection)

    assert "vendor-model" in await list_models(connection)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("status", [200, 500])
async def test_a_list_without_end_is_not_read_to_the_end(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(listing, "LONGEST", 100_000)
    monkeypatch.setattr(listing, "SECONDS", 60.0)
    has_left = []

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 10_000)
        except ConnectionError:
            has_left.append(True)
            raise

    application = web.Application()
    application.router.add_get("/v1/models", endless)
    runner = web.AppRunner(application, shutdown_timeout=10)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]

    with pytest.raises(errors.MalformedAnswer):
        await list_models(
            Connection(name="x", kind="openai", base_url=f"http://127.0.0.1:{port}/v1")
        )

    await runner.cleanup()
    assert has_left
