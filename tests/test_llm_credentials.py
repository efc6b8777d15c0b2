"""The keys of a provider: which one is taken, what is done about one that is refused."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from cryptography.fernet import Fernet
from django.utils import timezone
from pytest_django import Settings

from core.errors import DependencyDown
from llm import credentials, errors
from llm.credentials.secrets import fingerprint
from llm.errors import ProviderError
from llm.models import Credential, Provider
from llm.providers import Connection, Deployment, classify
from llm.routing import routes
from llm.types import Call
from tests.llm_support import MARKS, ask, collect, recorded, text_of
from tests.vendor import Answer, FakeVendor

SECRET = "sk-very-secret-1234"
OTHER = "sk-very-secret-5678"


@pytest.fixture(autouse=True)
def nothing_refused_yet() -> Iterator[None]:
    """Forget what other tests were refused: rows of theirs had the same numbers."""
    credentials._refused.clear()
    yield
    credentials._refused.clear()


async def with_keys(vendor: FakeVendor, *secrets: str) -> Provider:
    """Serve the vendor under keys that are called by their last digit."""
    await vendor.aserve()
    provider = await Provider.objects.aget(name=vendor.name)
    for secret in secrets:
        token, key_id = credentials.encrypt(secret)
        await provider.credentials.acreate(
            name=secret[-1], secret_encrypted=token, secret_key_id=key_id
        )
    routes.forget()
    return provider


def keys_used(vendor: FakeVendor) -> list[str]:
    return [request.headers["Authorization"].removeprefix("Bearer ") for request in vendor.requests]


# --- Which one is taken ---------------------------------------------------------------------------


def connections(*weights: int) -> tuple[Connection, ...]:
    return tuple(
        Connection(
            name="x", kind="openai", api_key=str(number), credential_id=number, weight=weight
        )
        for number, weight in enumerate(weights)
    )


def chosen(deployment: Deployment, times: int = 2000) -> Counter[str]:
    return Counter(credentials.choose(deployment).api_key for _ in range(times))


def test_keys_are_used_by_their_weights() -> None:
    counted = chosen(Deployment(connections=connections(3, 1, 0), model="m"))

    assert set(counted) == {"0", "1"}
    assert 2.2 < counted["0"] / counted["1"] < 4.2
    assert set(chosen(Deployment(connections=connections(0, 0), model="m"))) == {"0", "1"}


def test_a_key_that_is_set_aside_is_passed_over() -> None:
    first, second = connections(1, 1)
    aside = dataclasses.replace(first, is_set_aside=True)

    assert set(chosen(Deployment(connections=(aside, second), model="m"))) == {"1"}
    with pytest.raises(errors.AuthenticationFailed, match="no key to be used") as failed:
        credentials.choose(Deployment(connections=(aside,), model="m"))
    assert failed.value.can_fall_back


def test_a_key_is_in_no_repr() -> None:
    assert SECRET not in repr(Connection(name="x", kind="openai", api_key=SECRET))


@pytest.mark.django_db
def test_only_keys_that_can_be_used_become_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET_KEY", SECRET)
    provider = Provider.objects.create(name="x", kind="openai", max_connections=7)
    stored = credentials.encrypt(OTHER)[0]
    provider.credentials.create(name="a", environment_variable="SET_KEY", secret_encrypted=stored)
    provider.credentials.create(name="b", environment_variable="UNSET_KEY", secret_encrypted=stored)
    provider.credentials.create(name="c", environment_variable="UNSET_KEY")
    provider.credentials.create(name="d", secret_encrypted="nonsense")
    provider.credentials.create(name="e", environment_variable="SET_KEY", is_active=False)

    made = credentials.connections_of(provider)

    # The environment wins over what is stored.
    assert [connection.api_key for connection in made] == [SECRET, OTHER]
    assert {connection.max_connections for connection in made} == {7}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("base_url", "is_active", "is_usable"),
    [
        ("", True, False),
        ("https://api.groq.com/openai/v1/", True, False),
        ("https://api.openai.com/v1", True, False),
        ("http://vllm:8000/v1", True, True),
        ("http://vllm:8000/v1", False, False),
    ],
)
def test_without_its_key_only_a_server_of_ones_own_is_called(
    base_url: str, is_active: bool, is_usable: bool
) -> None:
    provider = Provider.objects.create(name="x", kind="openai", base_url=base_url)
    provider.credentials.create(name="a", environment_variable="UNSET_KEY", is_active=is_active)

    [connection] = credentials.connections_of(provider)

    assert connection.api_key == ""
    assert connection.is_set_aside is not is_usable


@pytest.mark.django_db
def test_an_entra_token_is_passed_on_as_one() -> None:
    provider = Provider.objects.create(name="x", kind="azure", base_url="https://a", auth="token")
    provider.credentials.create(name="a", secret_encrypted=credentials.encrypt(SECRET)[0])

    [connection] = credentials.connections_of(provider)

    assert connection.is_token


# --- What a refusal means -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "refuses_key"),
    [
        (401, {"message": "Incorrect API key provided."}, True),
        (400, {"message": "API key not valid. Please pass a valid one."}, True),  # Gemini
        (429, {"code": "insufficient_quota", "message": "You exceeded your quota."}, True),
        (402, {"message": "Payment required."}, True),
        (403, {"type": "billing_error", "message": "No."}, True),
        (400, {"message": "Your credit balance is too low."}, True),  # Anthropic
        (403, {"code": "account_deactivated", "message": "No."}, True),
        (403, {"type": "permission_error", "message": "Not this model."}, False),
        (403, {"message": "Project has no access to model gpt-9."}, False),
        (429, {"code": "rate_limit_exceeded", "message": "Slow down."}, False),
        (500, {"message": "Oops."}, False),
        # These quote the caller, who must not take the key from everybody.
        (400, {"message": "Invalid value: 'api key not valid'."}, False),
        (400, {"message": "Invalid value: 'your credit balance is too low'."}, False),
    ],
)
def test_a_key_is_refused_by_what_speaks_of_it_or_its_account(
    status: int, error: dict[str, str], refuses_key: bool
) -> None:
    assert classify.from_body("x", {"error": error}, status=status).refuses_key is refuses_key


class TestRefused:
    """A key that the vendor refuses, over the whole way of a call."""

    pytestmark = MARKS

    async def test_it_is_set_aside_and_the_next_one_answers(
        self, vendor: FakeVendor, call: Call
    ) -> None:
        provider = await with_keys(vendor, SECRET, OTHER)
        await provider.credentials.filter(name=OTHER[-1]).aupdate(weight=0)  # it comes second
        vendor.refused_keys = {SECRET}
        routes.forget()

        events = await collect(ask(), call)

        assert text_of(events) == Answer().text
        assert [(row.outcome, row.error_class) for row in await recorded()] == [
            ("failed", "AuthenticationFailed"),
            ("success", ""),
        ]
        await credentials.close()
        row = await Credential.objects.aget(name=SECRET[-1])
        assert row.set_aside_at is not None
        assert row.set_aside_reason == "provider_authentication_failed"
        assert SECRET not in str(vars(row))
        for _ in range(3):
            await collect(ask(), call)
        routes.forget()
        await collect(ask(), call)
        assert keys_used(vendor) == [SECRET, *[OTHER] * 5]

    async def test_other_processes_pass_it_over_within_a_second(
        self, vendor: FakeVendor, call: Call, a_second_later: Callable[[], None]
    ) -> None:
        provider = await with_keys(vendor, SECRET, OTHER)
        await collect(ask(), call)
        row = await provider.credentials.aget(name=SECRET[-1])

        await sync_to_async(credentials._store)((row.pk, SECRET), "provider_authentication_failed")

        a_second_later()
        before = len(vendor.requests)
        for _ in range(10):
            await collect(ask(), call)
        assert set(keys_used(vendor)[before:]) == {OTHER}

    async def test_without_another_key_another_provider_answers(
        self, vendor: FakeVendor, spare: FakeVendor, call: Call
    ) -> None:
        await with_keys(vendor, SECRET)
        vendor.refused_keys = {SECRET}
        await spare.aserve()

        for _ in range(2):
            assert text_of(await collect(ask(), call)) == Answer().text

        assert [row.provider for row in await recorded()] == ["vendor", "spare", "spare"]
        assert len(spare.requests) == 2

    async def test_a_403_about_one_model_keeps_the_key(
        self, vendor: FakeVendor, call: Call
    ) -> None:
        await with_keys(vendor, SECRET)
        refused = {"type": "permission_error", "message": "Not this model."}
        vendor.script(Answer(status=403, error=refused), Answer())

        with pytest.raises(errors.ProviderPermissionDenied):
            await collect(ask(), call)

        assert text_of(await collect(ask(), call)) == Answer().text

    async def test_a_new_secret_is_in_force_at_once(self, vendor: FakeVendor, call: Call) -> None:
        provider = await with_keys(vendor, SECRET)
        vendor.refused_keys = {SECRET}
        with pytest.raises(errors.AuthenticationFailed):
            await collect(ask(), call)
        await credentials.close()

        # As a variable has it after a restart: nobody has touched the row.
        token = credentials.encrypt(OTHER)[0]
        await provider.credentials.aupdate(secret_encrypted=token)
        routes.forget()

        assert text_of(await collect(ask(), call)) == Answer().text

    async def test_staff_can_say_that_it_is_good_again(
        self, vendor: FakeVendor, call: Call
    ) -> None:
        provider = await with_keys(vendor, SECRET)
        vendor.refused_keys = {SECRET}
        with pytest.raises(errors.AuthenticationFailed):
            await collect(ask(), call)
        await credentials.close()
        vendor.refused_keys = set()

        await sync_to_async(credentials.use_again)(await provider.credentials.aget())
        routes.forget()

        assert text_of(await collect(ask(), call)) == Answer().text

    async def test_it_is_tried_again_after_a_rest(self, vendor: FakeVendor, call: Call) -> None:
        provider = await with_keys(vendor, SECRET)
        long_ago = timezone.now() - credentials.SET_ASIDE - timedelta(seconds=1)
        await provider.credentials.aupdate(
            set_aside_at=long_ago, set_aside_secret=fingerprint(SECRET)
        )
        routes.forget()

        assert text_of(await collect(ask(), call)) == Answer().text

    async def test_many_calls_at_once_write_it_once(
        self, vendor: FakeVendor, call: Call, caplog: pytest.LogCaptureFixture
    ) -> None:
        await with_keys(vendor, SECRET)
        vendor.refused_keys = {SECRET}

        calls = [collect(ask(), call) for _ in range(10)]
        ended = await asyncio.gather(*calls, return_exceptions=True)

        assert {type(error) for error in ended} == {errors.AuthenticationFailed}
        assert caplog.text.count("llm.key_set_aside") == 1
        assert SECRET not in caplog.text

    async def test_if_it_cannot_be_written_it_is_passed_over_here_for_a_while(
        self, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch, call: Call
    ) -> None:
        def away(*_: object) -> None:
            raise DependencyDown("away")

        monkeypatch.setattr(credentials, "_store", away)
        await with_keys(vendor, SECRET)
        vendor.refused_keys = {SECRET}
        with pytest.raises(errors.AuthenticationFailed, match="refused its credentials"):
            await collect(ask(), call)
        await credentials.close()

        with pytest.raises(errors.AuthenticationFailed, match="no key to be used"):
            await collect(ask(), call)

        for note in credentials._refused:  # the while is over
            credentials._refused[note] -= credentials.NOTE_SECONDS
        with pytest.raises(errors.AuthenticationFailed, match="refused its credentials"):
            await collect(ask(), call)


async def test_what_has_no_key_cannot_be_set_aside() -> None:
    error = errors.AuthenticationFailed("no")
    keyless = Connection(name="x", kind="openai")
    with_key = dataclasses.replace(*connections(1), credential_id=1)
    served = Deployment(connections=(keyless, with_key), model="m")

    assert not credentials.set_aside(served, keyless, error)
    assert not credentials.set_aside(served, with_key, ProviderError("no"))


# --- How they are stored --------------------------------------------------------------------------


@pytest.mark.django_db
def test_keys_outlive_a_rotation(settings: Settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.SECRET_KEYS = [old]
    token, old_id = credentials.encrypt(SECRET)

    settings.SECRET_KEYS = [new, old]

    assert credentials.secret_of(Credential(secret_encrypted=token)) == SECRET
    assert SECRET not in token
    assert credentials.encrypt(SECRET)[1] != old_id


@pytest.mark.django_db
def test_a_key_that_cannot_be_read_is_no_key(settings: Settings) -> None:
    row = Credential(secret_encrypted=credentials.encrypt(SECRET)[0])

    settings.SECRET_KEYS = [Fernet.generate_key().decode()]

    assert credentials.secret_of(row) == ""
    assert "cannot" in credentials.source(row) or "none of" in credentials.source(row)
