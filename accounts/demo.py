"""The demo's people: an organization, staff, a user and a key of theirs."""

import secrets
from dataclasses import dataclass

from django.db import transaction

from accounts import keys
from accounts.models import ApiKey, Membership, Organization, Role, User

STAFF = "staff"
USER = "demo"
KEY_NAME = "Demo key"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAccounts:
    """How to get in; the secrets are of this installation alone."""

    organization: Organization
    staff_username: str
    staff_password: str
    user_username: str
    user_password: str
    api_key: str


@transaction.atomic
def seed(*, staff_password: str = "", user_password: str = "", api_key: str = "") -> DemoAccounts:
    """Make what is missing; a password or key that is given and still works is kept."""
    organization, _ = Organization.objects.get_or_create(slug="demo", defaults={"name": "Demo"})
    # Two processes that seed at once take turns.
    Organization.objects.select_for_update().get(pk=organization.pk)
    staff, staff_password = _person(STAFF, staff_password, is_staff=True)
    user, user_password = _person(USER, user_password, is_staff=False)
    for person, role in ((staff, Role.OWNER), (user, Role.MEMBER)):
        Membership.objects.get_or_create(
            organization=organization, user=person, defaults={"role": role}
        )
    return DemoAccounts(
        organization=organization,
        staff_username=staff.username,
        staff_password=staff_password,
        user_username=user.username,
        user_password=user_password,
        api_key=_key(organization, user, api_key),
    )


def _person(username: str, password: str, *, is_staff: bool) -> tuple[User, str]:
    user, _ = User.objects.get_or_create(
        username=username, defaults={"is_staff": is_staff, "is_superuser": is_staff}
    )
    if not (password and user.is_active and user.check_password(password)):
        password = secrets.token_urlsafe(12)
        user.set_password(password)
        user.is_active = True
        user.save(update_fields=["password", "is_active"])
    return user, password


def _key(organization: Organization, user: User, secret: str) -> str:
    try:
        keys.principal_of(secret)
    except keys.InvalidApiKey:  # lost, revoked, or of another database
        for lost in ApiKey.objects.filter(user=user, name=KEY_NAME, revoked_at=None):
            keys.revoke(lost)
        _, secret = keys.create(organization=organization, name=KEY_NAME, user=user)
    return secret
