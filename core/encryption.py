"""How secrets are kept: encrypted with the newest key, readable with all of them."""

import hashlib
from functools import lru_cache

import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

logger = structlog.get_logger(__name__)


def encrypt(secret: str) -> tuple[str, str]:
    """Return `secret` as it may be stored, and the id of the key that it is encrypted with."""
    return _cipher().encrypt(secret.encode()).decode(), newest_key_id()


# Remembered, because routes are read every second; a line in the log once per broken secret.
@lru_cache(maxsize=256)
def decrypt(token: str) -> str:
    """Return the secret; empty where none of our keys can read it."""
    if not token:
        return ""
    try:
        return _cipher().decrypt(token.encode()).decode()
    except InvalidToken:
        logger.error("core.secret_unreadable", hint="PARLEY_SECRET_KEYS lacks the key it needs")
        return ""


def rotate(token: str) -> str | None:
    """Return `token` encrypted anew with the newest key; `None` where no key can read it."""
    try:
        return _cipher().rotate(token.encode()).decode()
    except InvalidToken:
        return None


def newest_key_id() -> str:
    """Return the id of the key that secrets are encrypted with now."""
    return hashlib.sha256(settings.SECRET_KEYS[0].encode()).hexdigest()[:8]


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.SECRET_KEYS])
