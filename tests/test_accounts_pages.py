"""People come in, go out, and change their password."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from django.urls import reverse

from accounts import services
from accounts.models import Membership, Organization, User
from core.errors import PermissionDenied

SIGN_IN = reverse("accounts:sign-in")
PASSWORD = reverse("accounts:password-change")
GOOD = "correct horse battery"


@pytest.fixture
def ada(db: None) -> User:
    user = User.objects.create_user("ada", password=GOOD)
    organization = Organization.objects.create(name="Acme", slug="acme")
    Membership.objects.create(organization=organization, user=user)
    return user


def test_the_right_password_opens_the_chat(client: Client, ada: User) -> None:
    response = client.post(SIGN_IN, {"username": "ada", "password": GOOD})

    assert (response.status_code, response["Location"]) == (302, reverse("chat:home"))


def test_a_wrong_password_is_announced_and_keeps_the_name(client: Client, ada: User) -> None:
    response = client.post(SIGN_IN, {"username": "ada", "password": "wrong"})

    page = response.content.decode()
    assert response.status_code == 200
    assert '<div class="alert error" role="alert">' in page
    assert "<title>Error: Sign in · Parley</title>" in page
    assert 'value="ada"' in page


def test_the_sign_in_form_helps_password_managers(client: Client, db: None) -> None:
    page = client.get(SIGN_IN).content.decode()

    assert 'autocomplete="username"' in page
    assert 'autocomplete="current-password"' in page
    assert page.count("<label for=") == 2


def test_sign_in_leads_on_within_the_site_only(client: Client, ada: User) -> None:
    form = {"username": "ada", "password": GOOD}

    inside = client.post(SIGN_IN, {**form, "next": PASSWORD})
    client.logout()
    outside = client.post(SIGN_IN, {**form, "next": "https://evil.example/"})

    assert inside["Location"] == PASSWORD
    assert outside["Location"] == reverse("chat:home")


def test_only_a_form_signs_out(client: Client, ada: User) -> None:
    client.force_login(ada)

    assert client.get(reverse("accounts:sign-out")).status_code == 405
    assert client.get(PASSWORD).status_code == 200

    response = client.post(reverse("accounts:sign-out"))

    assert response["Location"] == SIGN_IN
    assert client.get(PASSWORD)["Location"].startswith(SIGN_IN)


def test_a_form_without_its_token_changes_nothing(ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)

    response = client.post(reverse("accounts:sign-out"))

    assert response.status_code == 403
    assert "The form has expired" in response.content.decode()


def test_a_new_password_signs_other_devices_out(client: Client, ada: User) -> None:
    elsewhere = Client()
    client.force_login(ada)
    elsewhere.force_login(ada)
    new = "another long password"

    response = client.post(
        PASSWORD, {"old_password": GOOD, "new_password1": new, "new_password2": new}
    )

    assert response["Location"] == reverse("chat:home")
    assert client.get(PASSWORD).status_code == 200
    assert elsewhere.get(PASSWORD).status_code == 302
    assert Client().login(username="ada", password=new)


def test_a_weak_password_is_refused_with_the_reason(client: Client, ada: User) -> None:
    client.force_login(ada)

    response = client.post(
        PASSWORD, {"old_password": GOOD, "new_password1": "12345", "new_password2": "12345"}
    )

    page = response.content.decode()
    assert "This password is too short" in page
    assert 'aria-invalid="true"' in page
    assert Client().login(username="ada", password=GOOD)


@pytest.mark.parametrize("path", [SIGN_IN, PASSWORD, "/nothing-is-here"])
def test_pages_hold_a_strict_content_security_policy(client: Client, ada: User, path: str) -> None:
    if path != SIGN_IN:
        client.force_login(ada)

    response = client.get(path)

    page = response.content.decode()
    assert "default-src 'self'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert "<script>" not in page
    assert "style=" not in page
    assert "<style" not in page


def test_a_page_that_is_not_there_says_so(client: Client, ada: User) -> None:
    response = client.get("/nothing-is-here")

    assert response.status_code == 404
    assert "Page not found" in response.content.decode()


def test_staff_alone_see_the_way_to_the_admin(client: Client, ada: User) -> None:
    client.force_login(ada)
    link = f'href="{reverse("admin:index")}"'
    assert link not in client.get(PASSWORD).content.decode()

    User.objects.filter(pk=ada.pk).update(is_staff=True)

    assert link in client.get(PASSWORD).content.decode()


def test_a_person_acts_for_their_first_organization_or_the_one_named(ada: User) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    Membership.objects.create(organization=other, user=ada)

    first = services.principal_for(ada)

    assert (first.user_id, first.user_name, first.api_key_id) == (ada.pk, "ada", None)
    assert first.organization_id == Organization.objects.get(slug="acme").pk
    assert services.principal_for(ada, other).organization_id == other.pk


def test_nobody_acts_for_an_organization_that_is_not_theirs(ada: User) -> None:
    stranger = Organization.objects.create(name="Other", slug="other")
    Organization.objects.filter(slug="acme").update(is_active=False)

    with pytest.raises(PermissionDenied):
        services.principal_for(ada)
    with pytest.raises(PermissionDenied):
        services.principal_for(ada, stranger)
    with pytest.raises(PermissionDenied):
        services.principal_for(AnonymousUser())
