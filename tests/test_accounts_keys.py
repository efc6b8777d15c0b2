"""A key opens the door for as long as it should, and not a second longer."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.test import Client
from django.utils import timezone

from accounts import demo, keys
from accounts.models import ApiKey, Membership, Organization, User
from accounts.principal import Principal
from core.errors import DependencyDown, InvalidRequest

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def organization() -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def ada(organization: Organization) -> User:
    user = User.objects.create(username="ada")
    Membership.objects.create(organization=organization, user=user)
    return user


def test_a_key_is_stored_as_a_hash_and_known_by_its_prefix(organization: Organization) -> None:
    key, secret = keys.create(organization=organization, name="ci")

    stored = ApiKey.objects.values().get()

    assert secret.startswith("pk-")
    assert stored["prefix"] == secret[:11] == key.prefix
    assert secret not in str(stored)


async def test_a_key_tells_who_calls(organization: Organization, ada: User) -> None:
    key, secret = await sync_to_async(keys.create)(organization=organization, name="ci", user=ada)

    assert await keys.authenticate(secret) == Principal(
        organization_id=organization.pk,
        user_id=ada.pk,
        user_name="ada",
        api_key_id=key.pk,
        api_key_prefix=key.prefix,
    )


async def test_a_key_of_the_organization_has_no_person(organization: Organization) -> None:
    _, secret = await sync_to_async(keys.create)(organization=organization, name="ci")

    principal = await keys.authenticate(secret)

    assert (principal.user_id, principal.user_name) == (None, "")


@pytest.mark.parametrize("secret", ["", "pk-", "pk-wrong", "é" * 20, "half \ud800", "x" * 100_000])
async def test_an_unknown_key_is_refused(secret: str) -> None:
    with pytest.raises(keys.InvalidApiKey) as caught:
        await keys.authenticate(secret)

    assert (caught.value.code, caught.value.http_status) == ("invalid_api_key", 401)


async def test_guessed_keys_fill_no_memory(organization: Organization) -> None:
    remembered = len(keys._principals._values)

    for guess in range(20):
        with pytest.raises(keys.InvalidApiKey):
            await keys.authenticate(f"pk-{guess}")

    assert len(keys._principals._values) == remembered


async def test_a_key_works_as_soon_as_it_is_made(organization: Organization) -> None:
    with pytest.raises(keys.InvalidApiKey):
        await keys.authenticate("pk-not-yet")

    _, secret = await sync_to_async(keys.create)(organization=organization, name="ci")

    assert await keys.authenticate(secret)


def end_by_revoking(key: ApiKey) -> None:
    # As another process would: without a word to this one's memory.
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())


def end_by_expiry(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())


def end_by_switching_off_the_user(key: ApiKey) -> None:
    User.objects.filter(api_keys=key).update(is_active=False)


def end_by_leaving_the_organization(key: ApiKey) -> None:
    Membership.objects.filter(organization=key.organization_id).delete()


def end_by_switching_off_the_organization(key: ApiKey) -> None:
    Organization.objects.filter(api_keys=key).update(is_active=False)


@pytest.mark.parametrize(
    "end",
    [
        end_by_revoking,
        end_by_expiry,
        end_by_switching_off_the_user,
        end_by_leaving_the_organization,
        end_by_switching_off_the_organization,
    ],
)
async def test_what_ends_a_key_is_in_force_within_a_second_elsewhere(
    end: Any, organization: Organization, ada: User, a_second_later: Callable[[], None]
) -> None:
    key, secret = await sync_to_async(keys.create)(organization=organization, name="ci", user=ada)
    assert await keys.authenticate(secret)

    await sync_to_async(end)(key)
    a_second_later()

    with pytest.raises(keys.InvalidApiKey):
        await keys.authenticate(secret)


async def test_a_key_revoked_here_is_refused_here_at_once(organization: Organization) -> None:
    key, secret = await sync_to_async(keys.create)(organization=organization, name="ci")
    assert await keys.authenticate(secret)

    await sync_to_async(keys.revoke)(key)

    with pytest.raises(keys.InvalidApiKey):
        await keys.authenticate(secret)


def test_a_key_is_revoked_once(organization: Organization) -> None:
    key, _ = keys.create(organization=organization, name="ci")

    keys.revoke(key)
    first = ApiKey.objects.get(pk=key.pk).revoked_at
    keys.revoke(key)

    assert first is not None
    assert ApiKey.objects.get(pk=key.pk).revoked_at == first


def test_a_person_has_keys_only_where_they_belong(organization: Organization) -> None:
    with pytest.raises(InvalidRequest, match="not a member"):
        keys.create(organization=organization, name="ci", user=User.objects.create(username="eve"))


async def test_a_database_that_is_away_is_no_wrong_key(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_cursor(*args: Any) -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(type(connections["default"]), "cursor", no_cursor)

    with pytest.raises(DependencyDown) as caught:
        await keys.authenticate("pk-anything")

    assert caught.value.http_status == 503


def test_the_command_prints_a_key_that_works(
    organization: Organization, ada: User, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("create_api_key", org="acme", name="ci", user="ada", expires_days=1)

    principal = keys.principal_of(capsys.readouterr().out.strip())

    assert principal.user_name == "ada"
    in_a_day = timezone.now() + timedelta(days=1)
    assert ApiKey.objects.filter(expires_at__lt=in_a_day).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"org": "nobody"}, "no active organization 'nobody'. Known: acme"),
        ({"user": "eve"}, "no active user 'eve'"),
        ({"expires_days": 0}, "between 1 and"),
        ({"expires_days": 10**9}, "between 1 and"),
    ],
)
def test_the_command_says_what_is_wrong(
    options: dict[str, Any], message: str, organization: Organization
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("create_api_key", **{"org": "acme", "name": "ci", **options})

    assert not ApiKey.objects.exists()


def test_the_demo_keeps_what_works_and_replaces_what_does_not(client: Client) -> None:
    first = demo.seed()
    secrets = {
        "staff_password": first.staff_password,
        "user_password": first.user_password,
        "api_key": first.api_key,
    }

    assert demo.seed(**secrets) == first

    stale = demo.seed(**{**secrets, "user_password": "wrong", "api_key": "pk-wrong"})

    assert stale.staff_password == first.staff_password
    assert stale.user_password not in ("wrong", first.user_password)
    assert client.login(username=stale.user_username, password=stale.user_password)
    assert keys.principal_of(stale.api_key).user_name == "demo"
    with pytest.raises(keys.InvalidApiKey):
        keys.principal_of(first.api_key)
