"""`manage.py rotate_secrets`, and what is said of keys at the start."""

from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.checks import Tags, run_checks
from django.core.management import CommandError, call_command
from pytest_django import Settings

from llm import credentials
from llm.credentials.secrets import newest_key_id
from llm.models import Credential, Provider

SECRET = "sk-very-secret-1234"


OTHER = "sk-very-secret-5678"


def make(name: str = "x", secret: str = "", **fields: str) -> Provider:
    """Make a provider, with a stored key where one is given."""
    provider = Provider.objects.create(name=name, **{"kind": "openai", **fields})
    if secret:
        token, key_id = credentials.encrypt(secret)
        provider.credentials.create(name="main", secret_encrypted=token, secret_key_id=key_id)
    return provider


def rotate() -> list[str]:
    output = StringIO()
    call_command("rotate_secrets", stdout=output)
    return output.getvalue().splitlines()


@pytest.fixture
def two_keys(settings: Settings) -> tuple[str, str]:
    """An old key, which alone is in force, and a new one."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.SECRET_KEYS = [old]
    return old, new


@pytest.mark.django_db
def test_rotation_makes_the_old_key_dispensable(
    settings: Settings, two_keys: tuple[str, str]
) -> None:
    old, new = two_keys
    make("a", secret=SECRET)
    make("b", secret=OTHER)
    make("c").credentials.create(name="main", environment_variable="C_KEY")
    settings.SECRET_KEYS = [new, old]
    make("d", secret=SECRET)

    assert rotate() == [
        "a/main: encrypted anew",
        "b/main: encrypted anew",
        "d/main: has the newest key already",
    ]
    assert [line.partition(": ")[2] for line in rotate()] == ["has the newest key already"] * 3

    settings.SECRET_KEYS = [new]
    keys = Credential.objects.exclude(secret_encrypted="")
    assert [credentials.secret_of(key) for key in keys] == [SECRET, OTHER, SECRET]
    assert {key.secret_key_id for key in keys} == {newest_key_id()}


@pytest.mark.django_db
def test_rotation_goes_on_where_it_was_killed_and_tells_what_cannot_be_read(
    settings: Settings, two_keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = two_keys
    make("a", secret=SECRET)
    make("b").credentials.create(name="main", secret_encrypted="nonsense")
    make("c", secret=OTHER)
    settings.SECRET_KEYS = [new, old]

    output = StringIO()
    with pytest.raises(CommandError, match="cannot be read: 1") as failed:
        call_command("rotate_secrets", stdout=output)

    assert failed.value.returncode == 1
    assert output.getvalue().splitlines() == [
        "a/main: encrypted anew",
        "b/main: no key of PARLEY_SECRET_KEYS can read it",
        "c/main: encrypted anew",
    ]
    Credential.objects.filter(provider__name="b").delete()
    assert rotate() == [
        "a/main: has the newest key already",
        "c/main: has the newest key already",
    ]


@pytest.mark.django_db
def test_a_secret_entered_during_a_rotation_is_kept(
    settings: Settings, two_keys: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm.credentials import secrets

    old, new = two_keys
    provider = make("a", secret=SECRET)
    settings.SECRET_KEYS = [new, old]
    true_rotate = secrets.rotate

    def rotate_late(token: str) -> str | None:
        provider.credentials.update(secret_encrypted=credentials.encrypt(OTHER)[0])
        return true_rotate(token)

    monkeypatch.setattr(secrets, "rotate", rotate_late)

    assert rotate() == ["a/main: was changed meanwhile"]
    assert credentials.secret_of(provider.credentials.get()) == OTHER


@pytest.mark.django_db
def test_a_missing_key_is_a_warning_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET_KEY", SECRET)
    make("a").credentials.create(name="main", environment_variable="UNSET_KEY")
    make("b").credentials.create(name="main", secret_encrypted="nonsense")
    make("c", kind="anthropic")
    make("d").credentials.create(name="main", environment_variable="SET_KEY")
    make("e", base_url="http://vllm:8000/v1").credentials.create(
        name="m", environment_variable="N_KEY"
    )
    make("f", kind="demo")
    Provider.objects.create(name="g", kind="openai", is_active=False)

    found = run_checks(tags=[Tags.database], databases=["default"])

    assert [(one.id, one.msg) for one in found] == [
        ("llm.W001", "The key “main” of a is not set: environment variable UNSET_KEY is empty."),
        (
            "llm.W001",
            "The key “main” of b is stored, but none of PARLEY_SECRET_KEYS can read it.",
        ),
        ("llm.W001", "The provider c needs a key and has none."),
    ]
    assert not any(one.is_serious() for one in found)


def test_a_check_without_a_database_looks_into_none() -> None:
    assert run_checks() == []
