"""The breaker over processes of the operating system."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings

from core import redis
from llm.health.monitor import Monitor
from tests.health_support import DEPLOYMENT, open_it
from tests.servers import environment

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

Process: TypeAlias = "subprocess.Popen[str]"
LONG_AGO = 100  # seconds; the cooldown is over by now


async def open_breaker() -> None:
    """Open the deployment's breaker long ago, for all processes."""
    client = redis.client()
    await client.delete(*(await client.keys(redis.key("health", "*")) or [b"none"]))
    monitor = Monitor(clock=lambda: time.time() - LONG_AGO)
    await open_it(monitor)
    await monitor.close()
    await redis.close()


@contextmanager
def worker() -> Iterator[Process]:
    """Have a process that asks twenty times at once when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.health_worker", str(DEPLOYMENT), "20"],
        cwd=settings.BASE_DIR,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.communicate(timeout=120)


def said(process: Process) -> str:
    assert process.stdout is not None
    return str(process.stdout.readline()).strip()


def tell(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.fixture
def start() -> Iterator[Callable[[], Process]]:
    with ExitStack() as running:
        yield lambda: running.enter_context(worker())


def test_exactly_one_process_makes_the_probe(start: Callable[[], Process]) -> None:
    async_to_sync(open_breaker)()
    processes = [start(), start()]
    assert [said(process) for process in processes] == ["ready", "ready"]

    for process in processes:
        tell(process)

    assert sorted(said(process) for process in processes) == ["0", "1"]
