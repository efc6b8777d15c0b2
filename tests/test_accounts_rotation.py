"""A key gets a new secret and stays the same key; and it is known when it was last used."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from accounts import keys, last_used
from accounts.models import ApiKey, Organization
from core.errors import InvalidRequest

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_is_noted() -> Iterator[None]:
    last_used.forget()
    yield
    last_used.forget()


def works(secret: str) -> bool:
    try:
        return bool(keys.principal_of(secret))
    except keys.InvalidApiKey:
        return False


def test_a_new_secret_is_of_the_same_key(acme: Organization) -> None:
    key, old = keys.create(organization=acme, name="ci", scopes=["chat"])

    new = keys.rotate(key)

    assert keys.principal_of(new).api_key_id == key.pk
    assert keys.principal_of(new).scopes == ("chat",)
    assert key.prefix == new[:11] != old[:11]
    assert not works(old)


def test_the_old_secret_works_as_long_as_was_said(acme: Organization) -> None:
    key, old = keys.create(organization=acme, name="ci")
    new = keys.rotate(key, overlap=timedelta(hours=1))

    assert works(old)
    assert works(new)

    ApiKey.objects.update(previous_until=timezone.now())

    assert not works(old)
    assert works(new)


def test_a_second_rotation_ends_what_the_first_left(acme: Organization) -> None:
    key, first = keys.create(organization=acme, name="ci")
    second = keys.rotate(key, overlap=timedelta(hours=1))
    third = keys.rotate(key, overlap=timedelta(hours=1))

    assert [works(secret) for secret in (first, second, third)] == [False, True, True]


def test_a_revoked_key_ends_with_both_secrets_and_gets_no_new_one(acme: Organization) -> None:
    key, old = keys.create(organization=acme, name="ci")
    new = keys.rotate(key, overlap=timedelta(hours=1))

    keys.revoke(key)

    assert not works(old)
    assert not works(new)
    with pytest.raises(InvalidRequest, match="revoked"):
        keys.rotate(key)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=8)])
def test_two_secrets_do_not_live_side_by_side_for_ever(
    acme: Organization, overlap: timedelta
) -> None:
    key, old = keys.create(organization=acme, name="ci")

    with pytest.raises(InvalidRequest) as caught:
        keys.rotate(key, overlap=overlap)

    assert caught.value.param == "overlap"
    assert works(old)


def test_no_secret_is_logged(acme: Organization, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    key, old = keys.create(organization=acme, name="ci")
    keys.change(key, name="other")
    new = keys.rotate(key)
    keys.revoke(key)

    assert caplog.text.count("accounts.key_") == 4
    assert old[11:] not in caplog.text
    assert new[11:] not in caplog.text


async def test_the_use_of_a_key_is_written_down_and_no_call_waits_for_it(
    acme: Organization,
) -> None:
    _, secret = await sync_to_async(keys.create)(organization=acme, name="ci")

    await keys.authenticate(secret)

    assert (await ApiKey.objects.aget()).last_used_at is None
    await last_used.flush()
    assert (await ApiKey.objects.aget()).last_used_at is not None


async def test_what_is_used_again_within_a_minute_is_not_written_again(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = await sync_to_async(keys.create)(organization=acme, name="ci")
    await keys.authenticate(secret)
    await last_used.flush()
    await ApiKey.objects.aupdate(last_used_at=None)

    await keys.authenticate(secret)
    await last_used.flush()

    assert (await ApiKey.objects.aget()).last_used_at is None

    now = last_used.clock()
    monkeypatch.setattr(last_used, "clock", lambda: now + last_used.EVERY)
    await keys.authenticate(secret)
    await last_used.flush()

    assert (await ApiKey.objects.aget()).last_used_at is not None


async def test_another_process_that_knows_it_already_writes_nothing(acme: Organization) -> None:
    _, secret = await sync_to_async(keys.create)(organization=acme, name="ci")
    just_now = timezone.now() - timedelta(seconds=30)
    await ApiKey.objects.aupdate(last_used_at=just_now)

    await keys.authenticate(secret)
    await last_used.flush()

    assert (await ApiKey.objects.aget()).last_used_at == just_now


def test_a_key_that_calls_the_rest_api_is_used(acme: Organization) -> None:
    _, secret = keys.create(organization=acme, name="ci")

    keys.principal_of(secret)

    assert ApiKey.objects.get().last_used_at is not None
