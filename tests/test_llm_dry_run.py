"""The dry run of a route: who would be asked, and why, without asking anybody."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from billing.models import UsageRecord
from llm import health
from llm.health import DeploymentHealth
from llm.models import Route
from llm.routing import routes
from tests.routing_support import deploy, route

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_routes() -> Iterator[None]:
    routes.forget()
    yield
    routes.forget()


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    return client


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def doing(monkeypatch: pytest.MonkeyPatch) -> dict[int, DeploymentHealth]:
    """What the processes have seen of deployments; a test says it by id."""
    figures: dict[int, DeploymentHealth] = {}
    monkeypatch.setattr(health, "snapshot", lambda: figures)
    return figures


def viewer(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("viewer", password="secret", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:llm_{name}", args=args)


def dry_run(client: Client, made: Route, **fields: Any) -> str:
    answer = client.get(page("route_dry_run", made.pk), fields)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def rows(client: Client, made: Route, **fields: Any) -> list[dict[str, str]]:
    answer = client.get(page("route_dry_run", made.pk), fields)
    assert answer.status_code == 200
    return [dict(row) for row in answer.context["rows"]]


def test_a_dry_run_shows_the_order_and_the_reasons(
    staff: Client, acme: Organization, doing: dict[int, DeploymentHealth]
) -> None:
    dear = deploy("dear", usd=("10", "30"), max_output_tokens=100)
    cheap = deploy("cheap", usd=("1", "2"), context_tokens=8000, max_output_tokens=100)
    broken = deploy("broken", usd=("0.1", "0.1"), max_output_tokens=100)
    blind = deploy("blind", takes_images=False)
    special = (deploy("special"), {"tasks": "classify"})
    made = route(dear, cheap, broken, blind, special, strategy="cheapest")
    doing[broken.pk] = DeploymentHealth(state="open")
    doing[cheap.pk] = DeploymentHealth(calls=9, p50_ttft_ms=321.0, running=3)

    table = rows(staff, made, organization=acme.pk, message="Hello", has_images="on")

    assert [(row["Order"], row["Deployment"]) for row in table] == [
        ("1", "maker cheap"),
        ("2", "maker dear"),
        ("3", "maker broken"),
        ("not asked", "maker blind"),
        ("not asked", "maker special"),
    ]
    assert [row["Why here"] for row in table] == [
        "at most $0.001308 with 100 tokens of output",
        "at most $0.01408 with 100 tokens of output",
        "its breaker is open: only if all others fail",
        "does not take images",
        "is only for calls with the task classify",
    ]
    first = table[0]
    assert first["Costs at most"] == "$0.001308"
    assert first["First token, p50"] == "321 ms"
    assert (first["Running"], first["Window, tokens"]) == ("3", "8,000")
    assert ">open<" in table[2]["Breaker"]


def test_a_dry_run_asks_nobody_and_holds_nothing(staff: Client, acme: Organization) -> None:
    usual = deploy("usual")

    rows(staff, route(usual), organization=acme.pk, message="Hello")

    assert not UsageRecord.objects.exists()
    assert usual.pk not in health.snapshot()


def test_a_dry_run_takes_a_number_of_tokens_for_a_message(
    staff: Client, acme: Organization
) -> None:
    large = (deploy("large", context_tokens=900_000), {"role": "too_long"})
    made = route(deploy("usual", context_tokens=8000), large)

    first, second = rows(staff, made, organization=acme.pk, tokens=100_000)

    assert (first["Order"], first["Deployment"]) == ("1", "maker large")
    assert first["Why here"] == "it is too long for the others; the only one"
    assert first["Input, tokens"] == "100,007"
    assert second["Why here"].startswith("has room for 8,000 tokens")


def test_a_dry_run_prefers_the_steps_of_the_task(staff: Client, acme: Organization) -> None:
    made = route(deploy("strong"), (deploy("small"), {"tasks": "classify"}))

    table = rows(staff, made, organization=acme.pk, message="Hello", task="classify")

    assert [row["Deployment"] for row in table] == ["maker small", "maker strong"]


def test_a_dry_run_tells_what_the_caller_would_be_told(staff: Client, acme: Organization) -> None:
    made = route(deploy("usual", max_output_tokens=50))

    text = dry_run(staff, made, organization=acme.pk, message="Hello", max_tokens=51)

    assert "Nobody would be asked. The caller is told: max_tokens is too large: 51." in text
    assert "gives at most 50 tokens of output" in text


def test_a_dry_run_says_what_is_switched_off(staff: Client, acme: Organization) -> None:
    made = route(deploy("usual"), deploy("retired", is_active=False))

    text = dry_run(staff, made, organization=acme.pk, message="Hello")

    assert "Switched off, and so not looked at: maker retired." in text
    Route.objects.update(is_active=False)
    routes.forget()
    text = dry_run(staff, made, organization=acme.pk, message="Hello")
    assert "The route is switched off: for callers it does not exist." in text


def test_a_dry_run_knows_who_may_ask(staff: Client, acme: Organization) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    made = route(deploy("usual"), is_for_all=False)
    made.organizations.add(other)

    assert "does not exist" in dry_run(staff, made, organization=acme.pk, message="Hello")
    assert rows(staff, made, organization=other.pk, message="Hello")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Write a message, or say how many tokens it has."),
        ({"message": "Hello", "tokens": 5}, "Write a message, or say how many tokens it has."),
        ({"tokens": 0}, "greater than or equal to 1"),
        ({"message": "Hello", "max_tokens": "many"}, "Enter a whole number."),
        ({"message": "Hello", "task": "no spaces"}, "A task has up to 50 letters"),
        ({"message": "Hello", "organization": 999_999}, "Select a valid choice."),
    ],
)
def test_a_dry_run_names_what_is_wrong_with_its_form(
    staff: Client, acme: Organization, fields: dict[str, Any], said: str
) -> None:
    made = route(deploy("usual"))

    assert said in dry_run(staff, made, **{"organization": acme.pk, **fields})


def test_a_dry_run_is_for_those_who_may_see_routes(client: Client, acme: Organization) -> None:
    made = route(deploy("usual"))
    address = page("route_dry_run", made.pk)

    assert client.get(address).status_code == 302
    assert viewer(client, "view_provider").get(address).status_code == 403
    User.objects.all().delete()
    assert viewer(client, "view_route").get(address).status_code == 200
