"""Who pays for a batch."""

from accounts import named
from accounts.models import Organization, User
from accounts.principal import Principal


def payer(organization: Organization, user: User | None) -> Principal:
    """Return the organization as a caller, on behalf of `user` where there is one."""
    return Principal(
        organization_id=organization.pk,
        user_id=user.pk if user else None,
        user_name=user.get_username() if user else "",
    )


def find(slug: str, username: str | None) -> Principal:
    """Return who is meant, or raise `NotFound`, which says who there is."""
    organization = named.organization(slug)
    return payer(organization, named.member(username, organization) if username else None)
