"""`manage.py up`, as a newcomer meets it: a fresh folder, one command, Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from cryptography.fernet import Fernet
from openai import OpenAI

from tests.servers import free_port

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parent.parent
THERE = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}  # of this run
OURS = ("DATABASE_URL", "REDIS_URL", "PARLEY_ENV", "PARLEY_REDIS_PREFIX", "OPENAI_API_KEY")


def environment(folder: Path, **extra: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    return {**inherited, "PARLEY_DATA_DIR": str(folder), "PARLEY_WEB_PROCESSES": "1", **extra}


def up(folder: Path, port: int, **extra: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment(folder, PORT=str(port), **extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_until(process: "subprocess.Popen[str]", sign: str) -> str:
    assert process.stdout is not None
    output: str = ""
    for line in process.stdout:
        output += line
        if sign in line:
            return output
    raise AssertionError(f"It ended before it said {sign!r}: {output}")


def left_running(folder: Path) -> list[str]:
    """Return the command lines of processes that name `folder` or were started with it."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        try:
            of_folder = process.environ().get("PARLEY_DATA_DIR") == str(folder)
        except psutil.Error:
            of_folder = False
        command = " ".join(process.info["cmdline"] or [])
        if of_folder or f"{folder}/" in command:
            found.append(command)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path / "data"


def test_one_command_runs_the_product_and_ctrl_c_leaves_nothing(folder: Path) -> None:
    port = free_port()
    process = up(folder, port)
    welcome = read_until(process, "Ctrl-C stops everything")

    demo = json.loads((folder / "demo.json").read_text())
    client = OpenAI(base_url=f"{demo['base_url']}/v1", api_key=demo["api_key"])
    answer = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "Hello!"}]
    )
    client.close()

    assert answer.choices[0].message.content
    assert demo["base_url"] == f"http://127.0.0.1:{port}"
    assert demo["api_key"] in welcome
    assert demo["staff"]["password"] in welcome
    assert demo["user"]["password"] in welcome
    assert (folder / "demo.json").stat().st_mode & 0o077 == 0

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert left_running(folder) == []

    again = up(folder, port)
    read_until(again, "Ctrl-C stops everything")
    assert json.loads((folder / "demo.json").read_text()) == demo
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=120)
    assert left_running(folder) == []


def test_a_port_in_use_is_one_clear_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        process = up(folder, port)
        _, errors = process.communicate(timeout=120)

    assert process.returncode == 1
    assert f"Port {port} cannot be used" in errors
    assert errors.count("\n") == 1
    assert left_running(folder) == []


def test_the_demo_mode_refuses_production(folder: Path) -> None:
    process = up(
        folder,
        free_port(),
        PARLEY_ENV="production",
        PARLEY_SECRET_KEY="s" * 60,
        PARLEY_SECRET_KEYS=Fernet.generate_key().decode(),
        PARLEY_HOSTS="parley.example",
    )
    _, errors = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "does not run with PARLEY_ENV=production" in errors
    assert not (folder / "demo.json").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLEY_ENV", "prod"),
        ("PARLEY_LEASE_SECONDS", "soon"),
        ("PARLEY_LEASE_SECONDS", "0"),
        ("PARLEY_DB_POOL", "many"),
        ("PARLEY_DB_POOL", "0"),
        ("PARLEY_TIME_ZONE", "Mars/Base"),
        ("PARLEY_LOG_LEVEL", "loud"),
        ("PARLEY_SECRET_KEYS", "short"),
        ("DATABASE_URL", "mysql://host/name"),
        ("REDIS_URL", "host:6379"),
    ],
)
def test_a_wrong_setting_is_named(folder: Path, name: str, value: str) -> None:
    result = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**environment(folder), **THERE, name: value},
        capture_output=True,
        text=True,
    )

    assert result.returncode != 0
    assert result.stderr.startswith("Parley cannot start:")
    assert name in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none"),
        ("REDIS_URL", "redis://127.0.0.1:1/0"),
        ("PARLEY_WEB_PROCESSES", "0"),
    ],
)
def test_a_start_that_cannot_work_is_one_line(folder: Path, name: str, value: str) -> None:
    _, errors = up(folder, free_port(), **{name: value}).communicate(timeout=120)

    assert name in errors
    assert errors.count("\n") == 1
