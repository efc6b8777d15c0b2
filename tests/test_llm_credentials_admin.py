"""Keys on a provider's page: entered, kept, weighted, filled in by a preset."""

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from llm import credentials
from llm.credentials.secrets import fingerprint, newest_key_id
from llm.models import Credential, Provider

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
