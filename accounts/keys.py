"""API keys: made, shown once, checked on every call, revoked within a second."""

import hashlib
import secrets
from datetime import datetime

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from accounts.models import ApiKey, CacheMode, Membership, Organization, User
from accounts.principal import Principal
from core.cached import Cached
from core.database import translate_outage
from core.errors import AppError, InvalidRequest
from core.throttle import Throttle

logger = structlog.get_logger(__name__)

MARK = "pk-"
SHOWN = 11  # characters of a key that stay visible, to tell one from another
LONGEST = 200  # characters; whatever is longer is no key of ours and is not looked up
TOO_MANY = "Too many wrong API keys came from your address."

# Keys cannot be guessed; this keeps whoever tries from having each one looked up.
wrong_keys = Throttle("keys", times=lambda: settings.WRONG_KEYS_PER_MINUTE, seconds=60)


class InvalidApiKey(AppError):
    """The key is unknown, expired or revoked, or its owner may not sign in any more."""

    code = "invalid_api_key"
    http_status = 401


def create(
    *,
    organization: Organization,
    name: str,
    user: User | None = None,
    expires_at: datetime | None = None,
    cache_mode: str = CacheMode.ON,
    allowed_models: str = "",
) -> tuple[ApiKey, str]:
    """Make a key and return it with its secret, which is not kept and cannot be shown again."""
    if user and not is_member(user, organization):
        raise InvalidRequest(f"{user} is not a member of {organization}.", param="user")
    secret = MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        organization=organization,
        user=user,
        name=name,
        prefix=secret[:SHOWN],
        key_hash=_hash(secret),
        expires_at=expires_at,
        cache_mode=cache_mode,
        allowed_models=allowed_models,
    )
    logger.info("accounts.key_created", prefix=key.prefix, organization=organization.slug)
    return key, secret


def is_member(user: User, organization: Organization) -> bool:
    """Return whether `organization` may pay for what `user` does."""
    return Membership.objects.filter(user=user, organization=organization).exists()


def revoke(key: ApiKey) -> None:
    """End a key's life; every process refuses it within a second."""
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        logger.info("accounts.key_revoked", prefix=key.prefix)
    _principals.clear()


async def authenticate(secret: str, ip: str = "") -> Principal:
    """Return who calls with `secret` from `ip`; raise `InvalidApiKey`, or `DependencyDown`.

    An address that has sent too many wrong keys gets `TooOften`, before anybody is asked; but not
    with a key that was right before: who shares its address with a guesser goes on working.
    """
    if len(secret) > LONGEST:
        raise InvalidApiKey("This is not a valid API key.")
    key_hash = _hash(secret)
    if not _principals.knows(key_hash):
        wrong_keys.check(ip, TOO_MANY)
    try:
        return await _principals.get(key_hash)
    except InvalidApiKey:
        if ip:
            await sync_to_async(wrong_keys.count, thread_sensitive=False)(ip)
        raise


def principal_of(secret: str, ip: str = "") -> Principal:
    """Do what `authenticate` does, for code that is not async."""
    wrong_keys.check(ip, TOO_MANY)
    try:
        with translate_outage():
            return _load(_hash(secret))
    except InvalidApiKey:
        wrong_keys.count(ip)
        raise


def _load(key_hash: str) -> Principal:
    key = ApiKey.objects.usable().select_related("user").filter(key_hash=key_hash).first()
    if key is None:
        raise InvalidApiKey("This is not a valid API key, or it has expired or been revoked.")
    return Principal(
        organization_id=key.organization_id,
        user_id=key.user_id,
        user_name=key.user.get_username() if key.user else "",
        api_key_id=key.pk,
        api_key_prefix=key.prefix,
        cache_mode=key.cache_mode,
        allowed_models=tuple(filter(None, map(str.strip, key.allowed_models.splitlines()))),
    )


def _hash(secret: str) -> str:
    """Return SHA-256: a key has 256 random bits, so there is nothing that a slow hash would add."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


# A key that is not there raises, and what raises is not remembered: guesses fill no memory.
_principals: Cached[str, Principal] = Cached(_load)
