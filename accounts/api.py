"""How a program signs in to the REST API."""

from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import keys
from accounts.models import User
from accounts.principal import Principal


class ServiceUser(AnonymousUser):
    """Stands for a key that belongs to an organization and to no person."""

    @property
    def is_authenticated(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_anonymous(self) -> bool:  # type: ignore[override]
        return False


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer pk-...`; `request.auth` is the key's `Principal`."""

    def authenticate(self, request: Request) -> tuple[User | ServiceUser, Principal] | None:
        scheme, _, secret = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            principal = keys.principal_of(secret.strip())
        except keys.InvalidApiKey as error:
            raise AuthenticationFailed(error.message) from error
        if principal.user_id is None:
            return ServiceUser(), principal
        return User.objects.get(pk=principal.user_id), principal

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
