"""API keys: made, shown once, checked on every call, revoked within a second."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import TypedDict, Unpack

import structlog
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.utils import timezone

from accounts import last_used, rights
from accounts.models import ApiKey, Membership, Organization, User
from accounts.principal import Principal
from core.cached import Cached
from core.database import translate_outage
from core.errors import AppError, InvalidRequest
from core.throttle import Throttle

logger = structlog.get_logger(__name__)

MARK = "pk-"
SHOWN = 11  # characters of a key that stay visible, to tell one from another
LONGEST = 200  # characters; whatever is longer is no key of ours and is not looked up
LONGEST_OVERLAP = timedelta(days=7)
TOO_MANY = "Too many wrong API keys came from your address."

# Keys cannot be guessed; this keeps whoever tries from having each one looked up.
wrong_keys = Throttle("keys", times=lambda: settings.WRONG_KEYS_PER_MINUTE, seconds=60)


class InvalidApiKey(AppError):
    """The key is unknown, expired or revoked, or its owner may not sign in any more."""

    code = "invalid_api_key"
    http_status = 401


class Terms(TypedDict, total=False):
    """What a key may do and for how long; what is left out is as the model has it."""

    expires_at: datetime | None
    cache_mode: str
    allowed_models: str
    scopes: list[str]
    allowed_addresses: str
    on_disconnect: str


def create(
    *, organization: Organization, name: str, user: User | None = None, **terms: Unpack[Terms]
) -> tuple[ApiKey, str]:
    """Make a key and return it with its secret, which is not kept and cannot be shown again."""
    if user and not is_member(user, organization):
        raise InvalidRequest(f"{user} is not a member of {organization}.", param="user")
    secret = _new_secret()
    key = ApiKey(
        organization=organization,
        user=user,
        name=name,
        prefix=secret[:SHOWN],
        key_hash=_hash(secret),
        **terms,
    )
    _check(key)
    key.save()
    logger.info("accounts.key_created", prefix=key.prefix, organization=organization.slug)
    return key, secret


def change(key: ApiKey, *, name: str | None = None, **terms: Unpack[Terms]) -> ApiKey:
    """Give a key another name or other terms; every process knows them within a second."""
    if name is not None:
        key.name = name
    for field, value in terms.items():
        setattr(key, field, value)
    _check(key)
    fields = [*terms, "name"]
    key.save(update_fields=fields)
    logger.info("accounts.key_changed", prefix=key.prefix, fields=fields)
    _principals.clear()
    return key


def rotate(key: ApiKey, *, overlap: timedelta = timedelta(0)) -> str:
    """Return a new secret of the same key; the one before it works for `overlap` longer.

    The key keeps its limits, its budgets and its history. A secret that still worked from a
    rotation before ends now.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise InvalidRequest("The old secret can work for a week longer at most.", param="overlap")
    secret = _new_secret()
    now = timezone.now()
    is_done = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(
        previous_hash=F("key_hash") if overlap else None,
        previous_until=now + overlap if overlap else None,
        key_hash=_hash(secret),
        prefix=secret[:SHOWN],
    )
    if not is_done:
        raise InvalidRequest("This key has been revoked: make a new one.")
    logger.info("accounts.key_rotated", prefix=key.prefix, new_prefix=secret[:SHOWN])
    _principals.clear()
    key.refresh_from_db()
    return secret


def is_member(user: User, organization: Organization) -> bool:
    """Return whether `organization` may pay for what `user` does."""
    return Membership.objects.filter(user=user, organization=organization).exists()


def revoke(key: ApiKey) -> None:
    """End a key's life, with the secret before it; every process refuses it within a second."""
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        logger.info("accounts.key_revoked", prefix=key.prefix)
    _principals.clear()


async def authenticate(secret: str, ip: str = "", exact_ip: str = "") -> Principal:
    """Return who calls with `secret` from `ip`; raise `InvalidApiKey`, or `DependencyDown`.

    Raises `AddressNotAllowed` where the key may be used from elsewhere only; `exact_ip` is what
    counts for that, because `ip` is as wide as a network (`core.address`).

    An address that has sent too many wrong keys gets `TooOften`, before anybody is asked; but not
    with a key that was right before: who shares its address with a guesser goes on working.
    """
    if len(secret) > LONGEST:
        raise InvalidApiKey("This is not a valid API key.")
    key_hash = _hash(secret)
    if not _principals.knows(key_hash):
        wrong_keys.check(ip, TOO_MANY)
    try:
        principal = await _principals.get(key_hash)
    except InvalidApiKey:
        if ip:
            await sync_to_async(wrong_keys.count, thread_sensitive=False)(ip)
        raise
    rights.check_address(principal, exact_ip)
    last_used.note(principal.api_key_id)
    return principal


def principal_of(secret: str, ip: str = "", exact_ip: str = "") -> Principal:
    """Do what `authenticate` does, for code that is not async.

    Here a key is looked up in any case, for the query is the least that such a request costs: a
    good one works from every address, and only a wrong one gets `TooOften`.
    """
    try:
        with translate_outage():
            principal = _load(_hash(secret))
    except InvalidApiKey:
        wrong_keys.check(ip, TOO_MANY)
        wrong_keys.count(ip)
        raise
    rights.check_address(principal, exact_ip)
    with translate_outage():
        last_used.save(principal.api_key_id)
    return principal


def _load(key_hash: str) -> Principal:
    is_its = Q(key_hash=key_hash) | Q(previous_hash=key_hash, previous_until__gt=timezone.now())
    key = ApiKey.objects.usable().select_related("user").filter(is_its).first()
    if key is None:
        raise InvalidApiKey("This is not a valid API key, or it has expired or been revoked.")
    return _principal(key)


def principal_by_id(api_key_id: int) -> Principal:
    """Return who called with a key, for work that goes on without it; raise `InvalidApiKey`."""
    key = ApiKey.objects.usable().select_related("user").filter(pk=api_key_id).first()
    if key is None:
        raise InvalidApiKey("The key has expired or been revoked.")
    return _principal(key)


def _principal(key: ApiKey) -> Principal:
    return Principal(
        organization_id=key.organization_id,
        user_id=key.user_id,
        user_name=key.user.get_username() if key.user else "",
        api_key_id=key.pk,
        api_key_prefix=key.prefix,
        cache_mode=key.cache_mode,
        allowed_models=rights.lines_of(key.allowed_models),
        scopes=tuple(key.scopes),
        on_disconnect=key.on_disconnect,
        allowed_addresses=rights.lines_of(key.allowed_addresses),
    )


def _check(key: ApiKey) -> None:
    """Raise `InvalidRequest` by the first field that is wrong."""
    try:
        key.clean_fields(exclude=["key_hash", "prefix"])
    except ValidationError as error:
        field, problems = next(iter(error.message_dict.items()))
        raise InvalidRequest(f"`{field}`: {problems[0]}", param=field) from None


def _new_secret() -> str:
    return MARK + secrets.token_urlsafe(32)


def _hash(secret: str) -> str:
    """Return SHA-256: a key has 256 random bits, so there is nothing that a slow hash would add."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


# A key that is not there raises, and what raises is not remembered: guesses fill no memory.
_principals: Cached[str, Principal] = Cached(_load)
