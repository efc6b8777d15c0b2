"""What staff do about keys: in the admin, by command, and what they are told at the start."""

import re
from html import unescape
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import Permission
from django.core.checks import Tags, run_checks
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from llm import credentials
from llm.credentials.secrets import fingerprint, newest_key_id
from llm.models import Credential, Provider
from tests.vendor import FakeVendor, deaf_address

SECRET = "sk-very-secret-1234"
OTHER = "sk-very-secret-5678"


@pytest.fixture
def staff(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("staff"))
    return client


def make(name: str = "x", secret: str = "", **fields: str) -> Provider:
    """Make a provider, with a stored key where one is given."""
    provider = Provider.objects.create(name=name, **{"kind": "openai", **fields})
    if secret:
        token, key_id = credentials.encrypt(secret)
        provider.credentials.create(name="main", secret_encrypted=token, secret_key_id=key_id)
    return provider


def put_aside(provider: Provider, secret: str = SECRET) -> None:
    provider.credentials.update(
        set_aside_at=timezone.now(),
        set_aside_reason="provider_authentication_failed",
        set_aside_secret=fingerprint(secret),
    )


def send(staff: Client, provider: Provider, *keys: dict[str, str], **fields: str) -> str:
    """Save the provider's page and return the one that comes then."""
    existing = [key for key in keys if "id" in key]
    content = {
        "name": provider.name,
        "kind": provider.kind,
        "base_url": provider.base_url,
        "auth": "key",
        "max_connections": "0",
        "is_active": "on",
        "deployments-TOTAL_FORMS": "0",
        "deployments-INITIAL_FORMS": "0",
        "credentials-TOTAL_FORMS": str(len(keys)),
        "credentials-INITIAL_FORMS": str(len(existing)),
        **fields,
    }
    for number, key in enumerate(keys):
        for name, value in {"weight": "1", "is_active": "on", **key}.items():
            content[f"credentials-{number}-{name}"] = value
    response = staff.post(page_of(provider), content, follow=True)
    assert response.status_code == 200
    return unescape(response.content.decode())


def page_of(provider: Provider) -> str:
    return reverse("admin:llm_provider_change", args=[provider.pk])


def see(staff: Client, provider: Provider) -> str:
    return unescape(staff.get(page_of(provider)).content.decode())


# --- Keys on the provider's page ------------------------------------------------------------------


def test_a_secret_is_taken_and_never_shown(staff: Client) -> None:
    provider = make()

    saved = send(staff, provider, {"name": "main", "new_secret": SECRET})

    row = provider.credentials.get()
    assert credentials.secret_of(row) == SECRET
    assert row.secret_key_id == newest_key_id()
    page = see(staff, provider)
    assert "stored, encrypted" in page
    assert "in use" in page
    assert SECRET not in saved + page
    assert row.secret_encrypted not in saved + page


def test_a_stored_secret_stays_until_there_is_a_new_one(staff: Client) -> None:
    provider = make(secret=SECRET)
    row = provider.credentials.get()
    put_aside(provider)

    send(staff, provider, {"id": str(row.pk), "provider": str(provider.pk), "name": "first"})
    row.refresh_from_db()
    assert (row.name, credentials.secret_of(row)) == ("first", SECRET)
    assert row.set_aside_at is not None

    changed = {"id": str(row.pk), "provider": str(provider.pk), "name": "first"}
    send(staff, provider, {**changed, "new_secret": OTHER})
    row.refresh_from_db()
    assert credentials.secret_of(row) == OTHER
    assert row.set_aside_at is None


@pytest.mark.parametrize(
    "address", ["http://elsewhere.example/v1", "https://own.example/v1", "http://own.example:81/v1"]
)
def test_a_stored_secret_is_sent_to_no_other_address(staff: Client, address: str) -> None:
    provider = make(secret=SECRET, base_url="http://own.example/v1")
    row = provider.credentials.get()
    kept = {"id": str(row.pk), "provider": str(provider.pk), "name": "main"}

    page = send(staff, provider, kept, base_url=address)
    provider.refresh_from_db()
    assert "The address has changed." in page
    assert provider.base_url == "http://own.example/v1"

    send(staff, provider, {**kept, "new_secret": OTHER}, base_url=address)
    provider.refresh_from_db()
    row.refresh_from_db()
    assert (provider.base_url, credentials.secret_of(row)) == (address, OTHER)


def test_several_keys_and_their_weights(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_KEY", OTHER)
    provider = make()

    send(
        staff,
        provider,
        {"name": "a", "new_secret": SECRET, "weight": "3"},
        {"name": "b", "environment_variable": "ACME_KEY"},
        max_connections="9",
    )

    provider.refresh_from_db()
    made = credentials.connections_of(provider)
    assert [(one.api_key, one.weight) for one in made] == [(SECRET, 3), (OTHER, 1)]
    assert {one.max_connections for one in made} == {9}


@pytest.mark.parametrize(
    ("fields", "keys", "message"),
    [
        ({}, [], "The provider x needs a key and has none."),
        ({}, [{"name": "a", "new_secret": SECRET, "is_active": ""}], "needs a key and has none"),
        ({}, [{"name": "a", "environment_variable": "UNSET_KEY"}], "variable UNSET_KEY is empty"),
        ({}, [{"name": "a", "environment_variable": "NOT SET_KEY"}], "no variable's name"),
        ({}, [{"name": "a", "environment_variable": "PATH"}], "PATH is not called …_KEY"),
        (
            {"base_url": "http://vllm:8000/v1"},
            [{"name": "a", "environment_variable": "AWS_SECRET_ACCESS_KEY"}],
            "AWS_SECRET_ACCESS_KEY is the machine's own",
        ),
        ({}, [{"name": "a"}], "Give a secret, or the name of a variable."),
        (
            {"base_url": "https://api.mistral.ai/v1"},
            [{"name": "a", "environment_variable": "UNSET_KEY"}],
            "variable UNSET_KEY is empty",
        ),
        ({"kind": "anthropic", "base_url": ""}, [], "needs a key and has none"),
        ({"kind": "azure", "base_url": "https://acme.example"}, [], "needs a key and has none"),
        (
            {"auth": "token"},
            [{"name": "a", "new_secret": SECRET}],
            "Only Azure OpenAI takes tokens",
        ),
    ],
)
def test_a_provider_that_could_not_be_called_is_not_saved(
    staff: Client, fields: dict[str, str], keys: list[dict[str, str]], message: str
) -> None:
    provider = make(base_url="http://before")

    page = send(staff, provider, *keys, **{"base_url": "", **fields})

    assert message in page
    provider.refresh_from_db()
    assert provider.base_url == "http://before"
    assert not provider.credentials.exists()


@pytest.mark.parametrize(
    ("fields", "keys"),
    [
        ({"base_url": "http://vllm:8000/v1"}, []),
        ({"base_url": "http://vllm:8000/v1"}, [{"name": "a", "environment_variable": "UNSET_KEY"}]),
        ({"kind": "demo"}, []),
        ({"is_active": ""}, []),
    ],
)
def test_what_needs_no_key_is_saved_without(
    staff: Client, fields: dict[str, str], keys: list[dict[str, str]]
) -> None:
    provider = make()

    page = send(staff, provider, *keys, **fields)

    assert "was changed successfully" in page


# --- Presets --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("openai", ["OPENAI_API_KEY"]),
        ("azure", ["AZURE_OPENAI_API_KEY", 'value="azure" selected']),
        ("anthropic", ["ANTHROPIC_API_KEY", 'value="anthropic" selected']),
        ("gemini", ["GEMINI_API_KEY", "https://generativelanguage.googleapis.com/v1beta/openai"]),
        ("groq", ["GROQ_API_KEY", "https://api.groq.com/openai/v1"]),
        ("mistral", ["MISTRAL_API_KEY", "https://api.mistral.ai/v1"]),
        ("openrouter", ["OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"]),
        ("vllm", ["http://localhost:8000/v1"]),
        ("ollama", ["http://localhost:11434/v1"]),
        ("llama-cpp", ["http://localhost:8080/v1"]),
        ("nonsense", []),
    ],
)
def test_presets_fill_in_the_form(staff: Client, preset: str, expected: list[str]) -> None:
    url = reverse("admin:llm_provider_add")

    page = staff.get(url, {"preset": preset}).content.decode()

    assert page.count("?preset=") == 10
    assert [one for one in expected if one not in page] == []


def test_a_preset_is_saved_with_its_key_as_it_was_filled_in(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", SECRET)
    url = f"{reverse('admin:llm_provider_add')}?preset=groq"
    page = staff.get(url).content.decode()
    fields = dict(
        re.findall(r'<input type="(?:text|number)" name="([\w-]+)" value="([^"]*)"', page)
    )
    management = dict(re.findall(r'name="([\w-]+_FORMS)" value="(\d+)"', page))

    staff.post(
        url,
        {
            **fields,
            **management,
            **{"kind": "openai", "auth": "key", "is_active": "on"},
            "credentials-0-is_active": "on",
        },
    )

    key = Credential.objects.get(provider__name="groq")
    assert credentials.secret_of(key) == SECRET


# --- Test connection ------------------------------------------------------------------------------


def try_out(staff: Client, provider: Provider) -> str:
    response = staff.post(reverse("admin:llm_provider_test", args=[provider.pk]), follow=True)
    assert response.status_code == 200
    return unescape(response.content.decode())


@pytest.mark.parametrize("kind", ["openai", "azure", "anthropic"])
def test_each_key_is_tried_and_one_that_works_is_used_again(
    staff: Client, vendor: FakeVendor, kind: str
) -> None:
    base_url = vendor.url if kind == "azure" else f"{vendor.url}/v1"
    provider = make(kind=kind, base_url=base_url, secret=SECRET)
    token = credentials.encrypt(OTHER)[0]
    provider.credentials.create(name="second", secret_encrypted=token)
    provider.credentials.create(name="third", environment_variable="UNSET_KEY")
    put_aside(provider)
    vendor.refused_keys = {OTHER}

    page = try_out(staff, provider)

    assert re.search(r"Key “main”: It works: 1 models, \d+ ms\.", page)
    assert "Key “second”: The key is refused." in page
    assert "Key “third”: The key is not set: environment variable UNSET_KEY is empty." in page
    assert SECRET not in page
    assert OTHER not in page
    assert provider.credentials.get(name="main").set_aside_at is None
    assert provider.credentials.get(name="second").set_aside_at is not None


def test_a_provider_without_keys_is_tried_as_well(staff: Client, vendor: FakeVendor) -> None:
    assert "It works: 1 models" in try_out(staff, make(base_url=f"{vendor.url}/v1"))
    assert "It works: 2 models" in try_out(staff, make("y", kind="demo"))


def test_what_is_not_there_is_said_in_plain_words(
    staff: Client, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tried(name: str, base_url: str) -> str:
        return try_out(staff, make(name, base_url=base_url))

    assert "The address cannot be reached." in tried("a", "http://127.0.0.1:1/v1")
    assert "lists no models at this address" in tried("b", f"{vendor.url}/elsewhere")
    monkeypatch.setattr("llm.connection_trial.SECONDS", 0.1)
    with deaf_address() as deaf:
        assert "There was no answer" in tried("c", deaf)


def test_only_a_post_by_who_may_change_it_is_a_test(client: Client, staff: Client) -> None:
    provider = make(secret=SECRET)
    urls = [
        reverse("admin:llm_provider_test", args=[provider.pk]),
        reverse("admin:llm_provider_use_again", args=[provider.pk, 1]),
    ]
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_provider"))

    assert [staff.get(url).status_code for url in urls] == [405, 405]
    assert staff.post(reverse("admin:llm_provider_test", args=[999])).status_code == 404
    assert staff.post(urls[1]).status_code == 404
    client.force_login(reader)
    assert [client.post(url).status_code for url in urls] == [403, 403]
    assert "Test connection" not in see(client, provider)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="staff"))
    assert strict.post(urls[0]).status_code == 403


# --- Keys that are set aside ----------------------------------------------------------------------


def test_a_key_that_is_set_aside_is_shown_and_can_be_taken_back(staff: Client) -> None:
    provider = make(secret=SECRET)
    put_aside(provider)
    row = provider.credentials.get()

    page = see(staff, provider)
    assert "set aside since" in page
    assert "the vendor refused it" in page
    listed = staff.get(reverse("admin:llm_provider_changelist")).content.decode()
    assert "main: set aside since" in listed

    url = reverse("admin:llm_provider_use_again", args=[provider.pk, row.pk])
    page = unescape(staff.post(url, follow=True).content.decode())
    assert "The key “main” is used again" in page
    assert "set aside since" not in page


def test_the_keys_of_several_providers_can_be_taken_back_at_once(staff: Client) -> None:
    for name in ("x", "y"):
        put_aside(make(name, secret=SECRET))

    chosen = list(Provider.objects.values_list("pk", flat=True))
    response = staff.post(
        reverse("admin:llm_provider_changelist"),
        {"action": "use_again", "_selected_action": chosen},
        follow=True,
    )

    assert "Keys that are used again: 2." in response.content.decode()
    assert not Credential.objects.exclude(set_aside_at=None).exists()


def test_the_list_does_not_grow_in_queries(
    staff: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        make(f"x{number}", secret=SECRET)

    with django_assert_max_num_queries(6):
        staff.get(reverse("admin:llm_provider_changelist"))


# --- rotate_secrets -------------------------------------------------------------------------------


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


# --- At the start ---------------------------------------------------------------------------------


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
