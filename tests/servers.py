"""Real server processes for tests: the command line of `make run`, on the test database."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import psutil
import psycopg
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import Organization
from config import serving

PATIENCE = 120.0  # seconds; nobody waits so long but where something is broken
REST = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Account:
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Site:
    """A running Parley with demo data."""

    url: str
    api_key: str
    staff: Account
    user: Account
    organization: Organization


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        """End the process at once, with its children if it has any."""
        process = psutil.Process(self.process.pid)
        for one in [*process.children(recursive=True), process]:
            one.kill()
        self.process.wait()


def environment(**extra: str) -> dict[str, str]:
    """Return what a process of ours needs to work on the test database."""
    database = connection.settings_dict
    address = f"postgresql://{database['USER']}@{quote(database['HOST'], safe='')}"
    return {
        **os.environ,
        "DATABASE_URL": f"{address}/{database['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
        "PARLEY_REDIS_PREFIX": settings.REDIS_PREFIX,
        "PARLEY_DB_POOL": "4",
        **extra,
    }


@contextmanager
def running_server(*, processes: int = 1, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serve on a free port while the block runs."""
    port = free_port()
    command = serving.web_command(host="127.0.0.1", port=port, processes=processes)
    process = subprocess.Popen(
        command,
        env=environment(**(env or {})),
        cwd=settings.BASE_DIR,
        start_new_session=True,
    )
    server = Server(url=f"http://127.0.0.1:{port}", process=process)
    try:
        _wait(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_connections() -> None:
    """Cut every connection to the test database."""
    database = connection.settings_dict
    with psycopg.connect(
        host=database["HOST"], user=database["USER"], dbname="postgres", autocommit=True
    ) as maintenance:
        maintenance.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [database["NAME"]],
        )


def come_to_rest() -> None:
    """End the answers that a test has left running: the flush that follows locks every table."""
    from billing.models import UsageRecord, UsageState
    from chat.models import Message

    Message.objects.running().update(stop_requested_at=timezone.now())
    deadline = time.monotonic() + REST
    while time.monotonic() < deadline and (
        Message.objects.running().exists()
        or UsageRecord.objects.filter(state=UsageState.STARTED).exists()
    ):
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(f"{server.url}/healthz", timeout=10):
                return
        except (URLError, TimeoutError, ConnectionError):
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("The server did not start.") from None
        time.sleep(0.05)
