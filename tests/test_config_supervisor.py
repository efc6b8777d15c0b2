"""What `manage.py up` starts, it also stops."""

import os
import signal
import sys
import threading

import psutil
import pytest

from config.supervisor import Died, Stopped, Supervisor, stop_signals

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
# Does not end when it is asked to.
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True); time.sleep(600)",
]


def alive(before: set[int]) -> set[int]:
    return {child.pid for child in psutil.Process().children()} - before


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def test_a_signal_ends_everything_that_was_started() -> None:
    before = children()
    supervisor = Supervisor()
    supervisor.start("one", SLEEPER)
    supervisor.start("two", SLEEPER)
    timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGTERM])

    with stop_signals():
        timer.start()  # here, or a slow start would end the tests themselves
        with pytest.raises(Stopped):
            supervisor.wait()
    timer.join()
    supervisor.stop()

    assert alive(before) == set()


def test_a_process_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.supervisor.GRACE", 0.5)
    before = children()
    supervisor = Supervisor()
    supervisor.start("stubborn", STUBBORN)

    supervisor.stop()

    assert alive(before) == set()


def test_a_process_that_ends_by_itself_is_named() -> None:
    supervisor = Supervisor()
    supervisor.start("web", [sys.executable, "-c", "raise SystemExit(3)"])

    with pytest.raises(Died, match="web process ended with code 3"):
        supervisor.wait()
    supervisor.stop()
