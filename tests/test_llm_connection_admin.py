"""What staff learn of a provider: whether it answers, which keys are set aside."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from llm import credentials
from llm.credentials.secrets import fingerprint
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


def page_of(provider: Provider) -> str:
    return reverse("admin:llm_provider_change", args=[provider.pk])


def see(staff: Client, provider: Provider) -> str:
    return unescape(staff.get(page_of(provider)).content.decode())


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
    staff.get(reverse("admin:llm_provider_changelist"))  # what a process asks once is asked

    with django_assert_max_num_queries(6):
        staff.get(reverse("admin:llm_provider_changelist"))
