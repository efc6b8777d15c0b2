"""Runs the processes of a local installation together, and leaves none behind."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

GRACE = 15.0  # seconds for a process to end by itself


class Stopped(Exception):
    """Somebody asked for the end: Ctrl-C, a closed terminal, or `kill`."""


class Died(Exception):
    """One of the processes ended without being asked to."""


class Supervisor:
    """Some processes of ours, each in a process group of its own: we decide who ends when."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str]) -> None:
        """Start `command` under `name`; it inherits our output and environment."""
        self._processes[name] = subprocess.Popen(command, start_new_session=True)

    def check(self) -> None:
        """Raise `Died` if a process is gone."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise Died(f"The {name} process ended with code {process.returncode}.")

    def wait(self) -> None:
        """Return never: raise `Died` when a process ends, `Stopped` when we are told to."""
        while True:
            self.check()
            time.sleep(0.2)

    def stop(self) -> None:
        """End every process: politely first, then for good."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + GRACE
        for process in self._processes.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def stop_signals() -> Iterator[None]:
    """Turn the signals that mean "end" into `Stopped` while the block runs."""

    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:  # once: a second one would break into the end that the first has begun
            asked = True
            raise Stopped

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_stop_signals() -> None:
    """Let nothing interrupt the end once it has begun."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
