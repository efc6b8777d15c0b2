"""A Parley of its own for the benchmark: fresh services, one key, one model, a price, a budget."""

import contextlib
import io
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import django
import psutil

from core import embedded

MODEL = "bench"


@dataclass(frozen=True, slots=True)
class Installation:
    """What the rounds need to know."""

    folder: Path
    api_key: str
    postgres: psutil.Process


@contextlib.contextmanager
def fresh(upstream: str) -> Iterator[Installation]:
    """Have services with a migrated database while the block runs, and nothing of them after."""
    folder = Path(tempfile.mkdtemp(prefix="parley-bench-"))
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PARLEY_DATA_DIR": str(folder),
        "PARLEY_ENV": "local",
        "PARLEY_LOG_JSON": "true",  # every call leaves its lines, as in production
    }
    try:
        with embedded.services(folder):
            django.setup()
            api_key = _prepare(upstream)
            yield Installation(folder=folder, api_key=api_key, postgres=_postgres(folder))
            _close_connections()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _prepare(upstream: str) -> str:
    """Migrate, and make every call one that is held, recorded, priced and settled."""
    from django.core.management import call_command  # noqa: PLC0415 - settings are set only now

    from accounts import keys  # noqa: PLC0415
    from accounts.models import Organization  # noqa: PLC0415
    from billing.models import Budget  # noqa: PLC0415

    call_command("migrate", verbosity=0)
    organization = Organization.objects.create(name="Bench", slug="bench")
    Budget.objects.create(organization=organization, name="Bench", limit_usd=Decimal(1_000_000))
    call_command(
        *("add_provider", "bench", "--kind", "openai", "--base-url", upstream),
        *("--api-key", "none", "--models", MODEL, "--input-price", "1", "--output-price", "2"),
        stdout=io.StringIO(),
    )
    _, api_key = keys.create(organization=organization, name="bench")
    return api_key


def check_books(calls: int) -> str:
    """Return the verdict on the books after so many calls; raise if they are wrong."""
    from django.core.management import call_command  # noqa: PLC0415

    from billing.models import UsageRecord, UsageState  # noqa: PLC0415

    call_command("check_books", stdout=io.StringIO())
    settled = UsageRecord.objects.filter(state=UsageState.SETTLED).count()
    if settled != calls or UsageRecord.objects.count() != calls:
        raise SystemExit(f"{calls} calls were made, {settled} are settled: the books are wrong.")
    return f"{settled:,} calls, each recorded, priced and settled exactly once; the books add up."


def _postgres(folder: Path) -> psutil.Process:
    pid_file = folder / "postgres" / "postmaster.pid"
    return psutil.Process(int(pid_file.read_text().splitlines()[0]))


def _close_connections() -> None:
    from django.db import connection  # noqa: PLC0415
    from django.db.backends.postgresql.base import DatabaseWrapper  # noqa: PLC0415

    connection.close()
    if isinstance(connection, DatabaseWrapper):
        connection.close_pool()
