"""How a program signs in to the REST API: `Authorization: Bearer pk-...`."""

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from accounts import keys, rights
from accounts.models import User
from accounts.principal import Principal
from accounts.services import principal_for
from core import address

SCOPE = "data"  # what a key needs for all below /api/


class ServiceUser(AnonymousUser):
    """Who `request.user` is when a key belongs to an organization and to no person."""

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]  # the stubs know only False
        return True

    @property
    def is_anonymous(self) -> bool:  # type: ignore[override]  # the stubs know only True
        return False

    def __str__(self) -> str:
        return "Program"


class ApiKeyAuthentication(BaseAuthentication):
    """Set `request.auth` to the `Principal` of the key; without a bearer token, step aside."""

    def authenticate(self, request: Request) -> tuple[User | ServiceUser, Principal] | None:
        scheme, _, secret = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        principal = keys.principal_of(
            secret.strip(), address.of_request(request), address.exact_of_request(request)
        )
        rights.check_scope(principal, SCOPE)
        if principal.user_id is None:
            return ServiceUser(), principal
        return User.objects.get(pk=principal.user_id), principal

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def principal_of(request: Request) -> Principal:
    """Return who asks: the key's principal, or the signed-in person's."""
    if isinstance(request.auth, Principal):
        return request.auth
    return principal_for(request.user)
