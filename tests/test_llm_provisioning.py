"""Where providers come from: the environment, the command, the admin."""

import os
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from billing.models import Price
from llm import credentials, demo
from llm.models import Credential, Deployment, Provider, Route
from llm.provisioning import provision_from_environment
from llm.types import Call
from tests.llm_support import ask, collect, text_of
from tests.vendor import Answer, FakeVendor

SECRET = "sk-very-secret-1234"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without anybody's keys."""
    for name in os.environ:
        if name.startswith(("OPENAI_", "AZURE_", "ANTHROPIC_", "GEMINI_")):
            monkeypatch.delenv(name)


def served(alias: str) -> list[str]:
    return [str(step.deployment) for step in Route.objects.get(alias=alias).steps.all()]


@pytest.mark.django_db
def test_without_keys_there_is_only_the_demo() -> None:
    demo.seed()

    assert provision_from_environment() == []
    assert served("default") == ["demo demo-small"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({"OPENAI_API_KEY": SECRET}, "openai gpt-5.4-mini"),
        ({"OPENAI_API_KEY": SECRET, "OPENAI_MODELS": "gpt-5.5, gpt-4.1"}, "openai gpt-5.5"),
        ({"ANTHROPIC_API_KEY": SECRET}, "anthropic claude-sonnet-5-5"),
        ({"GEMINI_API_KEY": SECRET}, "gemini gemini-3.8-flash"),
        (
            {
                "AZURE_OPENAI_API_KEY": SECRET,
                "AZURE_OPENAI_ENDPOINT": "https://acme.openai.azure.com",
                "AZURE_OPENAI_DEPLOYMENTS": "gpt-4o",
            },
            "azure gpt-4o",
        ),
    ],
)
def test_a_key_makes_a_provider_with_prices_the_default(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], first: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    demo.seed()

    assert provision_from_environment()
    assert provision_from_environment() == []

    assert served("default") == [first]
    provider, model = first.split()
    assert served(model) == [first]
    assert Price.objects.in_force().filter(provider=provider, model=model).count() == 1
    key = Credential.objects.get(provider__name=provider)
    assert key.environment_variable in environment
    assert key.secret_encrypted == ""
    assert credentials.secret_of(key) == SECRET


@pytest.mark.django_db
def test_several_vendors_share_one_default(monkeypatch: pytest.MonkeyPatch) -> None:
    demo.seed()
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    provision_from_environment()
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)

    provision_from_environment()

    assert served("default") == ["anthropic claude-sonnet-5-5"]
    assert served("gpt-5.5") == ["openai gpt-5.5"]


@pytest.mark.django_db
def test_what_staff_changed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    demo.seed()
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    provision_from_environment()
    Provider.objects.filter(name="openai").update(is_active=False, base_url="https://proxy.local")
    Deployment.objects.filter(model="gpt-5.5").update(max_output_tokens=77)
    Route.objects.filter(alias="gpt-5.5").update(is_active=False)

    provision_from_environment()

    assert Provider.objects.get(name="openai").base_url == "https://proxy.local"
    assert Deployment.objects.get(model="gpt-5.5").max_output_tokens == 77
    assert not Route.objects.get(alias="gpt-5.5").is_active


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tidy_loop")
def test_a_server_of_ones_own_is_asked_what_it_has(
    vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.seed()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{vendor.url}/v1")

    assert provision_from_environment() == ["openai: vendor-model (no public price)"]
    assert served("default") == ["openai vendor-model"]


@pytest.mark.django_db
def test_a_server_that_is_not_there_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    demo.seed()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")

    assert provision_from_environment() == ["openai: no models known; name them in OPENAI_MODELS"]
    assert served("default") == ["demo demo-small"]


# --- The command ----------------------------------------------------------------------------------


def add_provider(*arguments: str) -> str:
    output = StringIO()
    call_command("add_provider", *arguments, stdout=output)
    return output.getvalue()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tidy_loop")
async def test_a_provider_added_by_command_answers(vendor: FakeVendor, call: Call) -> None:
    from asgiref.sync import sync_to_async

    said = await sync_to_async(add_provider)(
        *("local", "--kind", "openai", "--base-url", f"{vendor.url}/v1", "--api-key", SECRET),
        *("--models", "llama, qwen", "--input-price", "0.1", "--output-price", "0.4"),
    )

    assert said.splitlines() == [
        "local/llama: $0.1 in, $0.4 out per million tokens",
        "local/qwen: $0.1 in, $0.4 out per million tokens",
    ]
    assert text_of(await collect(ask(model="llama"), call)) == Answer().text
    assert vendor.requests[0].headers["Authorization"] == f"Bearer {SECRET}"
    stored = await Credential.objects.aget(provider__name="local")
    assert SECRET not in stored.secret_encrypted


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "--kind", "nonsense", "--models", "m"], "invalid choice"),
        (["x", "--kind", "openai", "--models", ","], "names no model"),
        (["x", "--kind", "openai", "--models", "m", "--input-price", "1"], "both"),
        (["x", "--kind", "openai", "--models", "m", "--input-price", "-1"], "invalid"),
        (["a b", "--kind", "openai", "--models", "m"], "slug"),
        (["x", "--kind", "openai", "--models", "m", "--base-url", "ftp://x"], "begins with http"),
        (["x", "--kind", "azure", "--models", "m"], "Azure OpenAI has an address"),
        (["demo", "--kind", "openai", "--models", "m"], "already exists"),
        (["x", "--kind", "openai", "--models", "m"], "needs a key and has none"),
        (["x", "--kind", "anthropic", "--models", "m", "--api-key-env", "NO_SUCH"], "NO_SUCH"),
        (["x", "--kind", "openai", "--models", "m", "--api-key-env", "A B"], "no variable"),
    ],
)
def test_a_wrong_command_says_what_is_wrong_and_makes_nothing(
    arguments: list[str], message: str
) -> None:
    demo.seed()

    with pytest.raises(CommandError, match=message):
        add_provider(*arguments)

    assert not Provider.objects.exclude(name="demo").exists()


@pytest.mark.django_db
def test_the_public_prices_of_a_known_address_hold() -> None:
    known = ("--kind", "openai", "--base-url", "https://api.mistral.ai/v1/", "--api-key", SECRET)
    own = ("--kind", "openai", "--base-url", "http://vllm:8000/v1")

    priced = add_provider("mistral", *known, "--models", "mistral-large-latest")
    unpriced = add_provider("own", *own, "--models", "mistral-large-latest")

    assert "per million tokens" in priced
    assert "no price known" in unpriced


@pytest.mark.django_db
def test_embeddings_cost_their_input_alone() -> None:
    said = add_provider(
        *("x", "--kind", "openai", "--api-key", SECRET, "--models", "text-embedding-3-small")
    )

    assert "$0.02 in, $0 out per million tokens" in said


# --- The admin ------------------------------------------------------------------------------------


@pytest.fixture
def staff(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("staff"))
    return client


@pytest.mark.parametrize("page", ["provider", "deployment", "route"])
def test_the_admins_lists_do_not_grow_in_queries(
    staff: Client, page: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    demo.seed()

    with django_assert_max_num_queries(12):
        response = staff.get(reverse(f"admin:llm_{page}_changelist"))

    assert response.status_code == 200
