"""A real PostgreSQL and a real Redis from Python wheels, for whoever has not set their URLs.

Every process that needs them says so with `services()`: the first one in starts them, the last one
out stops them. Two lock files below the data folder keep that right when processes come and go at
the same time, and the kernel frees the locks of a process that was killed.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core import embedded_postgres, embedded_redis
from core.embedded_errors import ServiceUnavailable

__all__ = ["ServiceUnavailable", "services"]

BASE_DIR = Path(__file__).resolve().parent.parent


@contextmanager
def services(data_dir: Path | None = None) -> Iterator[None]:
    """Keep the services running and their URLs in the environment while the block runs.

    A service whose URL is set is somebody else's and is not started. Raises `ServiceUnavailable`.
    """
    needs_postgres = not os.environ.get("DATABASE_URL")
    needs_redis = not os.environ.get("REDIS_URL")
    if not (needs_postgres or needs_redis):
        yield
        return
    folder = data_dir or Path(os.environ.get("PARLEY_DATA_DIR") or BASE_DIR / ".data")
    with _in_use(folder, postgres=needs_postgres, redis=needs_redis):
        if needs_postgres:
            os.environ["DATABASE_URL"] = embedded_postgres.url(folder / "postgres")
        if needs_redis:
            os.environ["REDIS_URL"] = embedded_redis.url(folder / "redis")
        yield


@contextmanager
def _in_use(folder: Path, *, postgres: bool, redis: bool) -> Iterator[None]:
    """Start what is needed; afterwards stop whatever runs there, if nobody else uses it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        users = open(folder / "services.users", "w")  # noqa: SIM115 - held for the whole block
    except OSError as error:
        raise ServiceUnavailable(f"cannot write to {folder}: {error.strerror}") from error
    with users:
        with _one_at_a_time(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            if postgres:
                embedded_postgres.start(folder / "postgres")
            if redis:
                embedded_redis.start(folder / "redis")
        try:
            yield
        finally:
            with _one_at_a_time(folder):
                if _is_last(users):
                    embedded_redis.stop(folder / "redis")
                    embedded_postgres.stop(folder / "postgres")


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    with open(folder / "services.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
