"""Guessing passwords is slow, and whoever is refused is told so."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts import forms
from accounts.models import Membership, Organization, User

SIGN_IN = reverse("accounts:sign-in")
GOOD = "correct horse battery"


@pytest.fixture(autouse=True)
def patience(settings: Settings) -> Iterator[None]:
    settings.WRONG_PASSWORDS = 3
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a quick one
    yield
    forms.by_name.forget()
    forms.by_address.forget()


@pytest.fixture
def user(db: None) -> User:
    made = User.objects.create_user(f"ada-{uuid4().hex[:8]}", password=GOOD, is_staff=True)
    organization = Organization.objects.create(name="Acme", slug="acme")
    Membership.objects.create(organization=organization, user=made)
    return made


@pytest.fixture
def client() -> Client:
    """Come from an address that no other test has."""
    return Client(REMOTE_ADDR=f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1")


def test_too_many_wrong_passwords_for_a_name(client: Client, user: User) -> None:
    form = {"username": user.username, "password": "wrong"}
    wrong = [client.post(SIGN_IN, form) for _ in range(3)]

    refused = client.post(SIGN_IN, {**form, "password": GOOD})

    assert [response.status_code for response in wrong] == [200] * 3
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= forms.WINDOW
    page = refused.content.decode()
    assert "There were too many wrong passwords. Try again in 15 minutes." in page
    assert f'value="{user.username}"' in page
    assert "_auth_user_id" not in client.session


def test_other_spellings_and_other_addresses_do_not_help(client: Client, user: User) -> None:
    for name in (user.username, user.username.upper(), user.username.title()):
        client.post(SIGN_IN, {"username": name, "password": "wrong"})

    elsewhere = Client(REMOTE_ADDR="198.51.100.200")
    refused = elsewhere.post(SIGN_IN, {"username": user.username, "password": GOOD})

    assert refused.status_code == 429


def test_many_names_from_one_address(client: Client, user: User) -> None:
    for number in range(3 * forms.ADDRESSES):
        client.post(SIGN_IN, {"username": f"nobody-{number}", "password": "wrong"})

    refused = client.post(SIGN_IN, {"username": user.username, "password": GOOD})
    elsewhere = Client(REMOTE_ADDR="198.51.100.201")
    welcome = elsewhere.post(SIGN_IN, {"username": user.username, "password": GOOD})

    assert (refused.status_code, welcome.status_code) == (429, 302)


def test_right_passwords_do_not_count(client: Client, user: User) -> None:
    for _ in range(6):
        response = client.post(SIGN_IN, {"username": user.username, "password": GOOD})
        assert response.status_code == 302
        client.logout()


def test_the_admin_is_no_way_around(client: Client, user: User) -> None:
    form = {"username": user.username, "password": "wrong"}
    for _ in range(3):
        assert client.post(reverse("admin:login"), form).status_code == 200

    page = client.post(reverse("admin:login"), {**form, "password": GOOD})

    assert page.status_code == 429
    assert int(page["Retry-After"]) > 0
    assert "There were too many wrong passwords." in page.content.decode()
    assert client.post(SIGN_IN, {**form, "password": GOOD}).status_code == 429
