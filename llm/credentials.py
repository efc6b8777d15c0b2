"""A provider's secret: named by an environment variable, or encrypted in the database."""

import os
from functools import lru_cache

import structlog
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from llm.models import Provider

logger = structlog.get_logger(__name__)


def api_key(provider: Provider) -> str:
    """Return the provider's key; the environment wins; empty where there is none."""
    from_environment = os.environ.get(provider.api_key_env, "") if provider.api_key_env else ""
    return from_environment or _decrypt(provider.api_key_encrypted)


def source(provider: Provider) -> str:
    """Say where the key comes from, for staff, without a character of it."""
    if provider.api_key_env and os.environ.get(provider.api_key_env):
        return f"environment variable {provider.api_key_env}"
    if provider.api_key_encrypted:
        return "stored, encrypted"
    if provider.api_key_env:
        return f"not set: environment variable {provider.api_key_env} is empty"
    return "none"


def encrypt(secret: str) -> str:
    """Return `secret` as it may be stored: with the newest key, readable with all of them."""
    return _cipher().encrypt(secret.encode()).decode() if secret else ""


# Remembered, because routes are read every second; a line in the log once per broken secret.
@lru_cache(maxsize=256)
def _decrypt(token: str) -> str:
    if not token:
        return ""
    try:
        return _cipher().decrypt(token.encode()).decode()
    except InvalidToken:
        logger.error("llm.stored_key_unreadable", hint="PARLEY_SECRET_KEYS lacks the key it needs")
        return ""


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.SECRET_KEYS])
