"""What the admin of the service layer says, and what it does not take."""

from html import unescape

import pytest
from django.test import Client

from accounts.models import Organization, User
from core.ids import new_id
from llm.models import CachePurge, Limit, Provider, SemanticHit

pytestmark = pytest.mark.django_db

PROVIDERS = "/admin/llm/provider/"
CACHE = "/admin/llm/cachepurge/"
HITS = "/admin/llm/semantichit/"


@pytest.fixture
def boss(client: Client) -> User:
    user = User.objects.create_superuser("boss")
    client.force_login(user)
    return user


def see(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return unescape(response.content.decode())


def add_provider(client: Client, base_url: str, name: str = "x") -> str:
    """Send the form for a new provider; return the page that comes then."""
    form = {
        "name": name,
        "kind": "openai",
        "base_url": base_url,
        "auth": "key",
        "max_connections": "0",
        "is_active": "on",
        **{
            f"{part}-{which}_FORMS": "0"
            for part in ("credentials", "deployments")
            for which in ("TOTAL", "INITIAL")
        },
    }
    return unescape(client.post(f"{PROVIDERS}add/", form, follow=True).content.decode())


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "169.254.169.254:8080"])
def test_an_address_that_is_never_called_is_not_saved(
    client: Client, boss: User, host: str
) -> None:
    page = add_provider(client, f"http://{host}/v1")

    assert "This address is never called: link-local" in page
    assert not Provider.objects.exists()


@pytest.mark.parametrize("base_url", ["http://10.0.0.7:8000/v1", "http://vllm/v1"])
def test_a_server_of_ones_own_is_saved(client: Client, boss: User, base_url: str) -> None:
    add_provider(client, base_url)

    assert Provider.objects.get().base_url == base_url


def test_what_is_no_address_is_an_error_and_no_failure(client: Client, boss: User) -> None:
    assert "This is no address." in add_provider(client, "http://[::1")


def test_a_name_is_explained_without_a_slug(client: Client, boss: User) -> None:
    page = add_provider(client, "http://vllm/v1", "my server")

    assert "A name has letters, digits, _ and -, no spaces." in page
    assert "slug" not in page


def test_the_list_says_who_lacks_a_key(client: Client, boss: User) -> None:
    Provider.objects.create(name="a", kind="anthropic")
    assert "none, and it needs one" in see(client, PROVIDERS)

    Provider.objects.update(kind="openai", base_url="http://vllm/v1")
    assert "none, and it needs one" not in see(client, PROVIDERS)


def test_purges_are_counted_in_words(client: Client, boss: User) -> None:
    assert "Nothing was thrown away yet." in see(client, CACHE)

    CachePurge.objects.create(purged_by=boss)
    assert "1 purge<" in see(client, CACHE)

    CachePurge.objects.create(purged_by=boss)
    assert "2 purges<" in see(client, CACHE)


def test_throwing_away_is_called_so(client: Client, boss: User) -> None:
    page = see(client, f"{CACHE}add/")

    assert 'value="Throw away"' in page
    assert 'value="Save' not in page

    client.post(f"{CACHE}add/", {"_save": "Throw away"})
    assert CachePurge.objects.count() == 1


def test_wrong_hits_are_found_by_yes_and_no(client: Client, boss: User) -> None:
    acme = Organization.objects.create(name="Acme", slug="acme")
    for name, reporter in (("fine-prompt", ""), ("bad-prompt", "boss")):
        hit = SemanticHit(
            usage_id=new_id(),
            organization=acme,
            prompt_name=name,
            prompt_version=1,
            alias="m",
            embedding_model="e",
            similarity=0.95,
            threshold=0.9,
            reported_by=reporter,
        )
        hit.save()
    SemanticHit.objects.exclude(reported_by="").update(reported_at="2026-01-01T00:00Z")

    assert "?reported=yes" in see(client, HITS)
    assert "bad-prompt v1" in see(client, f"{HITS}?reported=yes")
    assert "fine-prompt v1" not in see(client, f"{HITS}?reported=yes")
    assert "fine-prompt v1" in see(client, f"{HITS}?reported=no")
    assert "bad-prompt v1" not in see(client, f"{HITS}?reported=no")


def test_large_limits_can_be_read(client: Client, boss: User) -> None:
    Limit.objects.create(name="Everybody", scope="user", tokens=1_500_000)

    page = see(client, "/admin/llm/limit/")

    assert "1,500,000" in page
    assert "By whom it counts for" in page
