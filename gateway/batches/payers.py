"""Who pays for a batch."""

from accounts.models import Organization, User
from accounts.principal import Principal
from core.errors import NotFound


def payer(organization: Organization, user: User | None) -> Principal:
    """Return the organization as a caller, on behalf of `user` where there is one."""
    return Principal(
        organization_id=organization.pk,
        user_id=user.pk if user else None,
        user_name=user.get_username() if user else "",
    )


def find(slug: str, username: str | None) -> Principal:
    """Return who is meant, or raise `NotFound`, which says who there is."""
    active = Organization.objects.filter(is_active=True)
    organization = active.filter(slug=slug).first()
    if organization is None:
        known = ", ".join(active.values_list("slug", flat=True)) or "none yet"
        raise NotFound(f"There is no active organization {slug!r}. Known: {known}.")
    return payer(organization, _member(username, organization) if username else None)


def _member(username: str, organization: Organization) -> User:
    members = User.objects.filter(organizations=organization, is_active=True)
    user = members.filter(username=username).first()
    if user is None:
        raise NotFound(
            f"There is no active user {username!r} in the organization {organization.slug!r}."
        )
    return user
