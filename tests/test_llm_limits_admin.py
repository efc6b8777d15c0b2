"""Staff set limits and see who was limited."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import ApiKey, Organization, User
from llm.models import Limit, LimitRefusal, Scope

pytestmark = pytest.mark.django_db

LIMITS = "/admin/llm/limit/"
REFUSALS = "/admin/llm/limitrefusal/"


@pytest.fixture
def boss(client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


def add(client: Client, **fields: object) -> str:
    """Return the page that follows, or "" where the limit was saved."""
    form = {"name": "Trial", "scope": "user", "seconds": 60, "is_active": "on", **fields}
    response = client.post(f"{LIMITS}add/", form)
    return "" if response.status_code == 302 else str(response.content.decode())


def test_staff_add_a_limit(client: Client, boss: User) -> None:
    assert add(client, requests=60, tokens=10_000, parallel=5) == ""

    made = Limit.objects.get()
    assert (made.requests, made.tokens, made.seconds, made.parallel) == (60, 10_000, 60, 5)
    page = client.get(LIMITS).content.decode()
    assert "User: each" in page
    assert "minute" in page


def test_what_says_nothing_is_refused_in_plain_words(
    client: Client, boss: User, acme: Organization
) -> None:
    assert "Fill in requests, tokens or calls at once." in add(client)
    assert "greater than or equal to 1" in add(client, requests=0)
    assert "less than or equal to 86400" in add(client, requests=1, seconds=90_000)
    wrong = add(client, requests=1, organization=acme.pk)
    assert "Name only what the limit is for" in wrong
    assert not Limit.objects.exists()


def test_who_was_limited_is_listed_and_cannot_be_changed(
    client: Client, boss: User, acme: Organization
) -> None:
    now = timezone.now()
    for name in ("ada", "bob"):
        row = LimitRefusal.objects.create(
            minute=now,
            limit_name="Trial",
            figure="requests",
            organization=acme,
            user_name=name,
            ip="192.0.2.1",
            surface="api",
            count=1234,
            first_at=now,
            last_at=now,
        )

    page = client.get(REFUSALS, {"q": "ada"}).content.decode()

    assert "1234" in page
    assert "192.0.2.1" in page
    assert "bob" not in page
    assert client.get(REFUSALS, {"limit_name": "Trial", "surface": "api"}).status_code == 200
    assert client.post(f"{REFUSALS}{row.pk}/change/", {"count": 1}).status_code == 403
    assert client.post(f"{REFUSALS}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_lists_take_as_many_queries_however_long(client: Client, boss: User) -> None:
    counts = []
    for number in range(2):
        for index in range(1 + number * 20):
            rows(f"{number}-{index}", index)
        for address in (LIMITS, REFUSALS):
            with CaptureQueriesContext(connection) as queries:
                client.get(address)
            counts.append(len(queries))

    assert counts[:2] == counts[2:]


def rows(name: str, index: int) -> None:
    organization = Organization.objects.create(name=name, slug=name)
    user = User.objects.create(username=name)
    key = ApiKey.objects.create(organization=organization, name=name, prefix=name, key_hash=name)
    targets: list[dict[str, Any]] = [
        {"organization": organization},
        {"user": user},
        {"api_key": key},
    ]
    for scope, target in zip([Scope.ORGANIZATION, Scope.USER, Scope.API_KEY], targets, strict=True):
        Limit.objects.create(name=f"{name} {scope}", scope=scope, requests=1, **target)
    now = timezone.now() - timedelta(minutes=index)
    LimitRefusal.objects.create(
        minute=now,
        limit_name="Trial",
        figure="requests",
        organization=organization,
        user_name=name,
        count=1,
        first_at=now,
        last_at=now,
    )
