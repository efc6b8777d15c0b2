"""A key that one process revokes is refused by every other, soon."""

import time
from collections.abc import Iterator

import httpx2
import pytest
from django.test import Client

from accounts import keys
from accounts.models import ApiKey, Organization, User
from tests.servers import PATIENCE, Server, running_server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def two(server: Server) -> Iterator[list[Server]]:
    """Two servers, each a process of its own, on one database."""
    with running_server() as other:
        yield [server, other]


def status(server: Server, secret: str) -> int:
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx2.get(f"{server.url}/v1/models", headers=headers, timeout=PATIENCE).status_code


def until_refused(servers: list[Server], secret: str, since: float) -> dict[str, float]:
    """Call all with the key until all refuse; return when each did, in seconds."""
    refused: dict[str, float] = {}
    while len(refused) < len(servers):
        assert time.monotonic() < since + PATIENCE, f"still open: {secret[:11]}"
        for server in servers:
            if server.url not in refused and status(server, secret) == 401:
                refused[server.url] = time.monotonic() - since
    return refused


def test_a_key_revoked_in_the_admin_is_refused_by_two_processes(
    two: list[Server], acme: Organization
) -> None:
    User.objects.create_superuser("boss", password="secret")
    staff = Client()
    staff.login(username="boss", password="secret")
    key, secret = keys.create(organization=acme, name="ci")
    assert [status(server, secret) for server in two] == [200, 200]

    since = time.monotonic()
    staff.post(f"/admin/accounts/apikey/{key.pk}/revoke/", {"confirmed": "yes"})
    refused = until_refused(two, secret, since)

    print("refused after", sorted(f"{seconds:.2f} s" for seconds in refused.values()))
    assert ApiKey.objects.get().revoked_at is not None


def test_an_old_secret_ends_in_two_processes(two: list[Server], acme: Organization) -> None:
    key, old = keys.create(organization=acme, name="ci")
    assert [status(server, old) for server in two] == [200, 200]

    new = keys.rotate(key)
    refused = until_refused(two, old, time.monotonic())

    assert len(refused) == 2
    assert [status(server, new) for server in two] == [200, 200]
