"""Who is meant by a name, for commands; `NotFound` says who there is."""

from accounts.models import Organization, User
from core.errors import NotFound


def organization(slug: str) -> Organization:
    """Return the active organization of that slug, or raise `NotFound`."""
    active = Organization.objects.filter(is_active=True)
    found = active.filter(slug=slug).first()
    if found is None:
        known = ", ".join(active.values_list("slug", flat=True)) or "none yet"
        raise NotFound(f"There is no active organization {slug!r}. Known: {known}.")
    return found


def member(username: str, of: Organization) -> User:
    """Return the active user of that name who belongs to the organization, or raise `NotFound`."""
    found = User.objects.filter(username=username, organizations=of, is_active=True).first()
    if found is None:
        raise NotFound(f"There is no active user {username!r} in the organization {of.slug!r}.")
    return found
