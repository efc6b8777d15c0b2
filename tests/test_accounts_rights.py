"""A key opens what it is for, from where it may be used, and no more."""

import ipaddress
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.test import Client
from pytest_django import Settings

from accounts import keys
from accounts.models import ApiKey, Organization
from accounts.rights import validate_addresses
from core import address
from core.errors import InvalidRequest
from gateway.http import ApiConsumer

pytestmark = pytest.mark.django_db(transaction=True)

HOME, ELSEWHERE = "192.0.2.7", "198.51.100.7"


class Embedder(ApiConsumer):
    """An address that needs a scope."""

    method = "GET"
    scope_needed = "embeddings"

    async def handle(self, body: bytes) -> None:
        await self.send_json(b'{"is": "open"}')


@pytest.fixture(autouse=True)
def proxies() -> Any:
    address.caller.cache_clear()
    address.exact_caller.cache_clear()
    yield
    address.caller.cache_clear()
    address.exact_caller.cache_clear()


async def knock(secret: str, peer: str = HOME, forwarded: str = "") -> dict[str, Any]:
    """Return status and body of a call with a key."""
    headers = [(b"authorization", f"Bearer {secret}".encode())]
    if forwarded:
        headers.append((b"x-forwarded-for", forwarded.encode()))
    asked = HttpCommunicator(Embedder.as_asgi(), "GET", "/v1/x", headers=headers)
    asked.scope["client"] = [peer, 4711]
    answer = await asked.get_response()
    return {"status": answer["status"], **json.loads(answer["body"])}


async def make(organization: Organization, **terms: Any) -> str:
    _, secret = await sync_to_async(keys.create)(organization=organization, name="ci", **terms)
    return secret


@pytest.mark.parametrize("scopes", [[], ["embeddings"], ["chat", "embeddings"]])
async def test_a_key_opens_what_it_is_for(acme: Organization, scopes: list[str]) -> None:
    assert (await knock(await make(acme, scopes=scopes)))["status"] == 200


async def test_a_key_for_something_else_is_refused_by_the_name_of_what_it_lacks(
    acme: Organization,
) -> None:
    answer = await knock(await make(acme, scopes=["chat", "models"]))

    assert answer["status"] == 403
    assert answer["error"]["code"] == "scope_missing"
    assert answer["error"]["type"] == "permission_error"
    assert answer["error"]["scope"] == "embeddings"
    assert "`embeddings`" in answer["error"]["message"]


@pytest.mark.parametrize(("scopes", "status"), [([], 200), (["data"], 200), (["chat"], 403)])
def test_the_rest_api_needs_the_scope_for_data(
    acme: Organization, scopes: list[str], status: int
) -> None:
    _, secret = keys.create(organization=acme, name="ci", scopes=scopes)

    response = Client().get("/api/usage/", headers={"authorization": f"Bearer {secret}"})

    assert response.status_code == status
    if status == 403:
        assert response.json()["error"]["code"] == "scope_missing"
        assert response.json()["error"]["scope"] == "data"


@pytest.mark.parametrize(
    ("allowed", "peer", "is_open"),
    [
        ("", ELSEWHERE, True),
        ("192.0.2.7", HOME, True),
        ("192.0.2.7", ELSEWHERE, False),
        (" 10.0.0.0/8 \r\n\r\n192.0.2.0/24 ", HOME, True),
        ("192.0.2.0/24", ELSEWHERE, False),
        ("192.0.2.7", f"::ffff:{HOME}", True),
        ("2001:db8::7", "2001:db8::7", True),
        ("2001:db8::7", "2001:db8::8", False),  # the same network of 64 bits
        ("2001:db8::/32", "2001:db8:5::1", True),
        ("2001:db8::/32", HOME, False),
        ("0.0.0.0/0", "2001:db8::7", False),
        ("192.0.2.7", "", False),  # nobody can say where the caller is
    ],
)
async def test_a_key_is_used_from_where_it_may_be(
    acme: Organization, allowed: str, peer: str, is_open: bool
) -> None:
    answer = await knock(await make(acme, allowed_addresses=allowed), peer)

    assert answer["status"] == (200 if is_open else 403)
    if not is_open:
        assert answer["error"]["code"] == "address_not_allowed"


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [(HOME, 200), (ELSEWHERE, 403), (f"{HOME}, {ELSEWHERE}", 403), ("", 403)],
)
async def test_behind_a_trusted_proxy_the_client_counts(
    acme: Organization, settings: Settings, forwarded: str, status: int
) -> None:
    settings.TRUSTED_PROXIES = (ipaddress.ip_network("10.0.0.0/8"),)
    secret = await make(acme, allowed_addresses=HOME)

    assert (await knock(secret, "10.0.0.1", forwarded))["status"] == status


async def test_a_stranger_does_not_become_somebody_else_by_a_header(acme: Organization) -> None:
    secret = await make(acme, allowed_addresses=HOME)

    assert (await knock(secret, ELSEWHERE, HOME))["status"] == 403


def test_the_rest_api_looks_at_the_address_too(acme: Organization) -> None:
    _, secret = keys.create(organization=acme, name="ci", allowed_addresses=HOME)
    headers = {"authorization": f"Bearer {secret}"}

    inside = Client(REMOTE_ADDR=HOME).get("/api/usage/", headers=headers)
    outside = Client(REMOTE_ADDR=ELSEWHERE).get("/api/usage/", headers=headers)

    assert (inside.status_code, outside.status_code) == (200, 403)
    assert outside.json()["error"]["code"] == "address_not_allowed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "“nonsense” cannot be used: it is no address and no network."),
        ("192.0.2.7\n10.1.0.0/8", "“10.1.0.0/8” cannot be used: a network ends in zeros"),
        ("::ffff:192.0.2.7", "means IPv4 addresses"),
        ("192.0.2.7, 192.0.2.8", "no address and no network"),
        ("\n".join(["192.0.2.7"] * 101), "At most 100"),
    ],
)
def test_what_is_no_address_is_said_by_its_line(text: str, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate_addresses(text)

    assert said in caught.value.messages[0]


@pytest.mark.parametrize(
    ("terms", "param"),
    [
        ({"scopes": ["everything"]}, "scopes"),
        ({"allowed_addresses": "nonsense"}, "allowed_addresses"),
        ({"on_disconnect": "wait"}, "on_disconnect"),
    ],
)
def test_no_key_is_made_with_terms_that_mean_nothing(
    acme: Organization, terms: Any, param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        keys.create(organization=acme, name="ci", **terms)

    assert caught.value.param == param
    assert not ApiKey.objects.exists()


def test_the_database_knows_the_scopes(acme: Organization) -> None:
    key, _ = keys.create(organization=acme, name="ci")

    with pytest.raises(IntegrityError):
        ApiKey.objects.filter(pk=key.pk).update(scopes=["everything"])


async def test_a_change_of_terms_is_in_force_at_once_here(acme: Organization) -> None:
    secret = await make(acme)
    assert (await knock(secret))["status"] == 200

    key = await ApiKey.objects.aget()
    await sync_to_async(keys.change)(key, name="narrow", scopes=["chat"], on_disconnect="drain")

    assert (await knock(secret))["status"] == 403
    principal = await keys.authenticate(secret)
    assert (principal.scopes, principal.on_disconnect) == (("chat",), "drain")


def test_code_that_knows_nothing_of_rights_can_still_make_a_key() -> None:
    organization = Organization.objects.create(name="Acme", slug="acme")

    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_apikey (organization_id, name, prefix, key_hash, created_at,"
            " cache_mode, allowed_models) VALUES (%s, 'Old', 'pk-old', 'hash', now(), 'on', '')",
            [organization.pk],
        )

    key = ApiKey.objects.get()
    assert (key.scopes, key.allowed_addresses, key.on_disconnect) == ([], "", "stop")
