"""The embedded services: real processes, on a folder of the test's own."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Enters `services()`, says so, and stays until its input ends.
USER = """
import sys
from pathlib import Path
from core import embedded
with embedded.services(Path(sys.argv[1])):
    import os, psycopg
    from redis import Redis
    if os.environ["DATABASE_URL"] != "elsewhere":
        psycopg.connect(os.environ["DATABASE_URL"]).close()
    Redis.from_url(os.environ["REDIS_URL"]).ping()
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    tmp_path.chmod(0o755)
    yield tmp_path / "services"
    for process in servers_of(tmp_path / "services"):
        process.kill()


def start_user(folder: Path, **urls: str) -> "subprocess.Popen[str]":
    env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**env, **urls},
        cwd=ROOT,
    )


def wait_until_ready(user: "subprocess.Popen[str]") -> None:
    assert user.stdout is not None
    assert user.stdout.readline() == "ready\n"


def end(user: "subprocess.Popen[str]") -> None:
    user.communicate(timeout=120)


def servers_of(folder: Path) -> list[psutil.Process]:
    """Return the PostgreSQL and Redis that serve from `folder`."""
    found = []
    for process in psutil.process_iter(["name", "cmdline", "status"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        command = " ".join(process.info["cmdline"] or [])
        is_postgres = process.info["name"] == "postgres" and f"-D {folder}/postgres" in command
        is_redis = process.info["name"] == "redis-server" and f"{folder}/redis" in command
        if is_postgres or is_redis:
            found.append(process)
    return found


def test_two_processes_that_start_at_once_share_the_servers(folder: Path) -> None:
    first, second = start_user(folder), start_user(folder)
    wait_until_ready(first)
    wait_until_ready(second)

    assert len(servers_of(folder)) == 2  # one PostgreSQL, one Redis

    end(first)
    assert len(servers_of(folder)) == 2  # the second still uses them
    end(second)
    assert servers_of(folder) == []


def test_a_server_of_ones_own_is_used_and_none_is_started_beside_it(folder: Path) -> None:
    user = start_user(folder, DATABASE_URL="elsewhere")
    wait_until_ready(user)

    assert [process.name() for process in servers_of(folder)] == ["redis-server"]
    end(user)
    assert user.returncode == 0
    assert servers_of(folder) == []


def test_servers_of_a_killed_process_are_found_again(folder: Path) -> None:
    killed = start_user(folder)
    wait_until_ready(killed)
    before = {process.pid for process in servers_of(folder)}
    killed.send_signal(signal.SIGKILL)
    end(killed)

    again = start_user(folder)
    wait_until_ready(again)

    assert {process.pid for process in servers_of(folder)} == before
    end(again)
    assert servers_of(folder) == []


def test_servers_that_were_killed_start_again_with_their_data(folder: Path) -> None:
    user = start_user(folder)
    wait_until_ready(user)
    for process in servers_of(folder):
        process.kill()
    user.kill()
    end(user)

    again = start_user(folder)
    wait_until_ready(again)

    assert len(servers_of(folder)) == 2
    end(again)


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={
            **{k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")},
            "PARLEY_DATA_DIR": str(tmp_path / "file" / "below"),
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert result.returncode == 1
    assert result.stderr.startswith("Parley cannot start: cannot write to")
    assert result.stderr.count("\n") == 1


def test_what_redis_keeps_is_readable_by_its_owner_alone(folder: Path) -> None:
    (folder / "redis").mkdir(parents=True, mode=0o755)
    user = start_user(folder)
    wait_until_ready(user)

    mode = (folder / "redis").stat().st_mode
    end(user)

    assert stat.S_IMODE(mode) == 0o700
