"""Make `.venv` and install a pinned lock into it, with one clear line where that fails.

    python3 requirements/install.py base|dev|clients

`clients` gets an environment of its own, `.venv-clients`: other people's programs, not Parley's.

Runs on the standard library alone: nothing of Parley is installed yet.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = {"clients": ROOT / ".venv-clients"}  # the others share one

# What pip prints, and what to do about it; the first that is found is told.
REASONS = [
    ("No space left on device", "the disk is full. Free about 1 GB and run it again."),
    ("Disk quota exceeded", "your disk quota is used up. Free about 1 GB and run it again."),
    (
        "command 'gcc' failed",
        "a package had to be compiled and could not be. Install a C compiler and Python's headers.",
    ),
    (
        "command 'cc' failed",
        "a package had to be compiled and could not be. Install a C compiler and Python's headers.",
    ),
    (
        "Could not fetch URL",
        "the download was refused. Check the network, and pip's index and proxy settings.",
    ),
    (
        "Retrying (Retry(",
        "the download was refused. Check the network, and pip's index and proxy settings.",
    ),
    (
        "No matching distribution found",
        "the package index has no release of a package for this Python and machine.",
    ),
]


def main(kind: str) -> None:
    """Install `requirements/<kind>.txt` unless it is installed already."""
    if sys.version_info < (3, 11):
        stop(
            f"it needs Python 3.11 or newer and this is {sys.version.split()[0]}. "
            "Name a newer one: PYTHON=python3.12 make run"
        )
    lock = ROOT / "requirements" / f"{kind}.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    venv = VENVS.get(kind, ROOT / ".venv")
    stamp = venv / f"installed-{kind}"
    if stamp.exists() and stamp.read_text() == digest:
        return
    make_venv(venv)
    say(f"Installing {kind} packages into {venv.name} (once; about a minute) …")
    run_pip(lock, venv)
    stamp.write_text(digest)


def make_venv(venv: Path) -> None:
    """Make an environment, also where an earlier try broke off half-way."""
    if (venv / "bin" / "pip").exists():
        return
    result = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True
    )
    if result.returncode:
        output = result.stdout + result.stderr
        stop(reason(output) or "Python's venv module does not work. Install python3-venv.")


def run_pip(lock: Path, venv: Path) -> None:
    """Install the lock; what pip prints goes to `install.log` in the environment."""
    command = [str(venv / "bin" / "pip"), "install", "--disable-pip-version-check", "--no-input"]
    log_file = venv / "install.log"
    try:
        with log_file.open("w") as log:
            failed = subprocess.run(
                [*command, "--requirement", str(lock)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PIP_PROGRESS_BAR": "off"},
            ).returncode
    except OSError as error:
        stop(f"{error.strerror}: {error.filename}")
    if failed:
        output = log_file.read_text(errors="replace")
        stop(reason(output) or f"pip failed: {last_error(output)} All of it is in {log_file}.")


def reason(output: str) -> str | None:
    """Return what to tell about pip's output, if it is a known failure."""
    return next((told for sign, told in REASONS if sign in output), None)


def last_error(output: str) -> str:
    """Return pip's last line that names an error."""
    lines = [line.strip() for line in output.splitlines() if "error" in line.lower()]
    return (lines or ["unknown reason."])[-1]


def say(line: str) -> None:
    print(line, flush=True)


def stop(line: str) -> None:
    """End with one line."""
    sys.exit(f"Parley cannot be installed: {line}")


if __name__ == "__main__":
    main(sys.argv[1])
