"""REST knows who calls, by key or by session, and says 401 in one shape."""

from typing import Any

import pytest
from django.test import override_settings
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import APIView

from accounts import keys
from accounts.models import Membership, Organization, User


class WhoAmI(APIView):
    def get(self, request: Request) -> Response:
        principal: Any = request.auth
        key = principal.api_key_prefix if principal else None
        return Response({"user": str(request.user), "key": key})


urlpatterns = [path("who", WhoAmI.as_view())]


@pytest.fixture
def api() -> Any:
    with override_settings(ROOT_URLCONF=__name__):
        yield APIClient()


@pytest.fixture
def ada(db: None) -> User:
    user = User.objects.create(username="ada")
    organization = Organization.objects.create(name="Acme", slug="acme")
    Membership.objects.create(organization=organization, user=user)
    return user


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_a_key_calls_as_its_person(api: APIClient, ada: User) -> None:
    key, secret = keys.create(organization=Organization.objects.get(), name="ci", user=ada)

    response = api.get("/who", headers=bearer(secret))

    assert response.json() == {"user": "ada", "key": key.prefix}


def test_a_key_without_a_person_calls_as_a_program(api: APIClient, ada: User) -> None:
    key, secret = keys.create(organization=Organization.objects.get(), name="ci")

    response = api.get("/who", headers=bearer(secret))

    assert response.json() == {"user": "Program", "key": key.prefix}


def test_a_session_calls_as_who_signed_in(api: APIClient, ada: User) -> None:
    api.force_login(ada)

    assert api.get("/who").json() == {"user": "ada", "key": None}


@pytest.mark.parametrize("secret", ["pk-wrong", "", "two words", "é"])
def test_a_wrong_key_is_refused(api: APIClient, ada: User, secret: str) -> None:
    api.force_login(ada)  # a wrong key is not made good by a session

    response = api.get("/who", headers=bearer(secret))

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_nobody_is_asked_for_a_key(api: APIClient, db: None) -> None:
    response = api.get("/who")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
