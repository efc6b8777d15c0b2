"""Who pays for a batch."""

from accounts import keys, named, rights
from accounts.models import Organization, Scope, User
from accounts.principal import Principal
from core.database import translate_outage
from gateway.files import services as files
from gateway.models import Batch


def payer(organization: Organization, user: User | None) -> Principal:
    """Return the organization as a caller, on behalf of `user` where there is one."""
    return Principal(
        organization_id=organization.pk,
        user_id=user.pk if user else None,
        user_name=user.get_username() if user else "",
    )


def payer_of(batch: Batch) -> Principal:
    """Return who made the batch, with the rights of now; raise what forbids to go on with it."""
    if batch.api_key_id is None:
        return payer(batch.organization, batch.user)
    with translate_outage():
        principal = keys.principal_by_id(batch.api_key_id)
        rights.check_scope(principal, Scope.BATCHES)
        files.check_room(0, batch.organization_id, param="input_file_id")
    return principal


def find(slug: str, username: str | None) -> Principal:
    """Return who is meant, or raise `NotFound`, which says who there is."""
    organization = named.organization(slug)
    return payer(organization, named.member(username, organization) if username else None)
