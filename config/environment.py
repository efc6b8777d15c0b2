"""Typed reading of the environment: a wrong value fails at start-up with the variable's name."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from environs import Env, ValidationError, validate

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()


def read_dotenv() -> None:
    """Load `.env` beside `manage.py`; what the environment already holds wins."""
    env.read_env(str(BASE_DIR / ".env"), recurse=False)


at_least_one = validate.Range(min=1, error="must be at least 1")
above_zero = validate.Range(min=0, min_inclusive=False, error="must be more than 0")
not_negative = validate.Range(min=0, error="must not be negative")
log_level = validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])


def time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError("no such time zone; one is Europe/Berlin")


def redis_url(url: str) -> None:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValidationError("must begin with redis://, rediss:// or unix://")


def networks(name: str, values: list[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the addresses and networks that the variable `name` lists."""
    try:
        return tuple(ip_network(value.strip()) for value in values)
    except ValueError as error:
        raise ImproperlyConfigured(f"Environment variable {name} is wrong: {error}.") from None


def check_postgresql(database: Mapping[str, Any]) -> None:
    if database["ENGINE"] != "django.db.backends.postgresql":
        raise ImproperlyConfigured(
            "Environment variable DATABASE_URL must begin with postgresql://"
        )


def check_fernet_keys(keys: list[str]) -> None:
    try:
        for key in keys:
            Fernet(key)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"Environment variable PARLEY_SECRET_KEYS is wrong: {error}"
        ) from None
