"""Our own processes: started, measured, and ended whatever happens."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import psutil

GRACE = 15.0  # seconds for a process to end by itself
PATIENCE = 60.0  # seconds for one to answer


@contextlib.contextmanager
def running(command: list[str], address: str, log: Path) -> Iterator[psutil.Process]:
    """Keep `command` running while the block does; the block begins when `address` answers."""
    with log.open("ab") as output:
        # A session of its own: Ctrl-C reaches us alone, and we decide who ends when.
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait(process, address, log)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_seconds(root: psutil.Process) -> float:
    """Return the CPU time that a process and its descendants have taken so far."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_mb(root: psutil.Process) -> float:
    """Return the memory of a process and its descendants, shared pages counted once."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            full = process.memory_full_info()
            total += getattr(full, "pss", full.uss)  # only Linux knows the fair share
    return total / 2**20


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(address, timeout=2):
                return
        except HTTPError:
            return
        except (URLError, TimeoutError, ConnectionError):
            time.sleep(0.05)
    raise SystemExit(f"{address} does not answer:\n{log.read_text()[-2000:]}")
