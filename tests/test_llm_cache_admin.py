"""What staff see of the cache, and throwing answers away."""

import asyncio
import importlib
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.management import CommandError
from django.db import NotSupportedError
from django.test import Client
from pgvector.django import VectorExtension
from pytest_django import DjangoAssertNumQueries
from redis.exceptions import ConnectionError as RedisGone

from accounts.models import ApiKey, Organization, User
from core import redis
from core.ids import new_id
from core.outage import Outage
from llm import service
from llm.caching import figures
from llm.models import CachePurge, SemanticHit
from prompts.models import Prompt
from tests.llm_support import ask, call_by, collect
from tests.vendor import FakeVendor

pytestmark = pytest.mark.django_db(transaction=True)

CACHE = "/admin/llm/cachepurge/"


@pytest.fixture
def boss(client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


def use_the_cache(vendor: FakeVendor, acme: Organization, times: int = 2) -> None:
    """Ask the same so many times."""

    async def asked() -> None:
        for _ in range(times):
            await collect(ask(temperature=0.0), call_by(acme))
        await service.close()
        await redis.close()

    asyncio.run(asked())


def test_the_page_shows_what_the_cache_saves(
    client: Client, boss: User, acme: Organization, vendor: FakeVendor
) -> None:
    vendor.serve("test-model")
    use_the_cache(vendor, acme, times=4)

    page = client.get(CACHE).content.decode()

    assert "Acme" in page
    assert "test-model" in page
    assert "75.0%" in page
    assert "0.0001" in page  # three times $0.00002, rounded


def test_staff_throw_answers_away(
    client: Client, boss: User, acme: Organization, vendor: FakeVendor
) -> None:
    vendor.serve("test-model")
    use_the_cache(vendor, acme)

    client.post(f"{CACHE}add/", {"organization": acme.pk, "alias": "test-model"})
    use_the_cache(vendor, acme)

    assert len(vendor.requests) == 2
    purge = CachePurge.objects.get()
    assert (purge.organization, purge.alias, purge.purged_by) == (acme, "test-model", boss)
    assert "Answers of Acme, test-model" in client.get(CACHE).content.decode()


def test_a_purge_stays(client: Client, boss: User) -> None:
    purge = CachePurge.objects.create(alias="test-model")

    assert client.post(f"{CACHE}{purge.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"{CACHE}{purge.pk}/change/", {"alias": "other"}).status_code == 403
    assert CachePurge.objects.get().alias == "test-model"


def test_who_may_only_look_throws_nothing_away(client: Client) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename="view_cachepurge"))
    client.force_login(viewer)

    assert client.get(CACHE).status_code == 200
    assert client.post(f"{CACHE}add/", {}).status_code == 403
    assert not CachePurge.objects.exists()


def test_the_page_is_there_without_redis(
    client: Client, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(alias: str) -> Any:
        raise RedisGone("refused")

    monkeypatch.setattr(figures, "get_redis_connection", gone)
    monkeypatch.setattr(figures, "_reading", Outage("llm.cache_figures"))

    page = client.get(CACHE)

    assert page.status_code == 200
    assert "Redis does not answer" in page.content.decode()


def test_staff_throw_away_the_answers_of_a_prompt(
    client: Client, boss: User, acme: Organization
) -> None:
    prompt = Prompt.objects.create(organization=acme, name="greet")

    client.post("/admin/prompts/prompt/", {"action": "purge_cache", "_selected_action": prompt.pk})

    purge = CachePurge.objects.get()
    assert (purge.organization, purge.prompt_name, purge.alias) == (acme, "greet", "")


@pytest.mark.parametrize(
    ("fields", "is_saved"),
    [
        ({"cache_mode": "on", "cache_seconds": "60"}, True),
        ({"semantic_threshold": "0.95", "semantic_model": "embedder"}, True),
        ({"semantic_threshold": "0.95"}, False),
        ({"semantic_threshold": "0.2", "semantic_model": "embedder"}, False),
        ({"cache_seconds": str(8 * 24 * 3600)}, False),
    ],
)
def test_a_prompt_says_what_may_be_done_with_its_answers(
    client: Client, boss: User, acme: Organization, fields: dict[str, Any], is_saved: bool
) -> None:
    prompt = Prompt.objects.create(organization=acme, name="greet")

    client.post(f"/admin/prompts/prompt/{prompt.pk}/change/", {"description": "new", **fields})

    prompt.refresh_from_db()
    assert (prompt.description == "new") == is_saved


def test_a_key_says_what_its_calls_may_do(client: Client, boss: User, acme: Organization) -> None:
    sent = {"organization": acme.pk, "name": "Nightly", "cache_mode": "write"}
    client.post("/admin/accounts/apikey/add/", {**sent, "on_disconnect": "stop"})

    assert ApiKey.objects.get().cache_mode == "write"


def test_wrong_hits_are_listed_with_a_constant_number_of_queries(
    client: Client, boss: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        SemanticHit.objects.create(
            usage_id=new_id(),
            organization=Organization.objects.create(name=f"No. {number}", slug=f"n{number}"),
            prompt_name="faq",
            prompt_version=1,
            alias="test-model",
            embedding_model="embedder",
            similarity=0.9,
            threshold=0.8,
            reported_by=f"person-{number}",
        )

    with django_assert_max_num_queries(8):
        page = client.get("/admin/llm/semantichit/").content.decode()

    assert "person-11" in page
    assert "0.900" in page


def test_the_cache_page_has_a_constant_number_of_queries(
    client: Client, boss: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        organization = Organization.objects.create(name=f"No. {number}", slug=f"n{number}")
        CachePurge.objects.create(organization=organization, purged_by=boss)

    with django_assert_max_num_queries(8):
        assert "No. 11" in client.get(CACHE).content.decode()


def test_a_database_without_pgvector_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise NotSupportedError('extension "vector" is not available\nDETAIL: no such file')

    migration = importlib.import_module("llm.migrations.0006_caching")
    monkeypatch.setattr(VectorExtension, "database_forwards", refuse)

    with pytest.raises(CommandError) as told:
        migration.Vectors().database_forwards("llm", None, None, None)

    assert "\n" not in str(told.value)
    assert "CREATE EXTENSION vector" in str(told.value)
