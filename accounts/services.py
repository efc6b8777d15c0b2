"""Who a signed-in person acts for."""

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from accounts.models import Membership, Organization, User
from accounts.principal import Principal
from core.errors import PermissionDenied


def principal_for(
    user: User | AnonymousUser, organization: Organization | None = None
) -> Principal:
    """Return who pays for what `user` does: their organization, or the one they name.

    Raises `PermissionDenied` where they belong to none (or not to that one).
    """
    if isinstance(user, AnonymousUser):
        raise PermissionDenied("Sign in first.")
    memberships = Membership.objects.filter(user=user, organization__is_active=True)
    if organization is not None:
        memberships = memberships.filter(organization=organization)
    membership = memberships.first() if user.is_active else None
    if membership is None:
        raise PermissionDenied("You do not belong to an organization yet. Ask your administrator.")
    return Principal(
        organization_id=membership.organization_id,
        user_id=user.pk,
        user_name=user.get_username(),
    )


def signed_in(session_key: str | None) -> User | None:
    """Return who the session belongs to now, for a connection that outlives a request.

    `None` after signing out, a new password or the end of the account.
    """
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) else None
