"""Who may use the REST API, and how often: `Authorization: Bearer pk-...`, or a session."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts import keys, rights
from accounts.models import User
from accounts.principal import Principal
from accounts.services import principal_for
from core import address
from core.throttle import Throttle

if TYPE_CHECKING:
    from rest_framework.views import APIView  # it imports this module by its settings

SCOPE = "data"  # what a key needs for all below /api/
TOO_MANY = "You have sent many requests in a short time."

_callers = Throttle("rest", times=lambda: settings.REST_PER_MINUTE, seconds=60)
_strangers = Throttle(
    "rest-anonymous", times=lambda: settings.REST_ANONYMOUS_PER_MINUTE, seconds=60
)


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

    scopes: tuple[str, ...] = (SCOPE,)  # each is enough

    def authenticate(self, request: Request) -> tuple[User | ServiceUser, Principal] | None:
        scheme, _, secret = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        principal = keys.principal_of(
            secret.strip(), address.of_request(request), address.exact_of_request(request)
        )
        rights.check_scope(principal, *self.scopes)
        if principal.user_id is None:
            return ServiceUser(), principal
        return User.objects.get(pk=principal.user_id), principal

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class PerCaller(BaseThrottle):
    """So many requests a minute of one key or person, and fewer of an address without either."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """Count the request, or raise `TooOften`, which says when to come again."""
        throttle, key = _counted(request)
        throttle.check(key, TOO_MANY)
        throttle.count(key)
        return True


class PeopleOnly(BasePermission):
    """Lets in who has signed in, and no key: what a key could make would outlive it."""

    message = "A key cannot do this: sign in."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        return isinstance(request.user, User) and not isinstance(request.auth, Principal)


class KeysNameTheirScope(BasePermission):
    """Lets a key write only where it names the scope `data`: one without is made for calls."""

    message = f"To write with a key, it needs the scope `{SCOPE}`."

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if request.method in SAFE_METHODS or not isinstance(request.auth, Principal):
            return True
        return SCOPE in request.auth.scopes


def _counted(request: Request) -> tuple[Throttle, str]:
    if isinstance(request.auth, Principal):
        return _callers, f"key:{request.auth.api_key_id}"
    if isinstance(request.user, User):
        return _callers, f"user:{request.user.pk}"
    return _strangers, address.of_request(request)


def principal_of(request: Request) -> Principal:
    """Return who asks: the key's principal, or the signed-in person's."""
    if isinstance(request.auth, Principal):
        return request.auth
    return principal_for(request.user)
