"""A pytest plugin: real PostgreSQL and Redis for this run, on a data folder of its own.

It is loaded with `-p` before Django's settings are read, because they need the addresses.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import psycopg

from core import embedded

_stack = contextlib.ExitStack()


def _start() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:  # the controller has started them
        os.environ["PARLEY_REDIS_PREFIX"] = f"test-{os.environ['PYTEST_XDIST_WORKER']}"
        return
    folder = Path(tempfile.mkdtemp(prefix="parley-test-"))
    _stack.callback(shutil.rmtree, folder, ignore_errors=True)
    os.environ["PARLEY_DATA_DIR"] = str(folder)
    os.environ["PARLEY_ENV"] = "local"
    os.environ["PARLEY_REDIS_PATIENCE_SECONDS"] = (
        "30"  # a machine that stalls has a Redis all the same
    )
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    _stack.enter_context(embedded.services(folder))
    _forget_about_the_disk()


def _forget_about_the_disk() -> None:
    """Let PostgreSQL wait for no disk: each test empties all tables, a file each."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("SELECT pg_reload_conf()")


_start()

atexit.register(_stack.close)
