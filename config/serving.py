"""How Parley's processes are started: by `manage.py up`, the tests and the benchmark alike."""

import sys
from pathlib import Path

MANAGE = str(Path(__file__).resolve().parent.parent / "manage.py")


def web_command(*, host: str, port: int, processes: int = 1) -> list[str]:
    """Return the command line of the web server: Granian, for what it was measured to do."""
    return [
        *(sys.executable, "-m", "granian", "config.asgi:application"),
        *("--interface", "asgi", "--http", "1", "--loop", "uvloop"),
        *("--host", host, "--port", str(port), "--workers", str(processes)),
        # A thousand streams that start at once wait in the queue instead of being refused.
        *("--backlog", "8192", "--backpressure", "8192"),
        *("--workers-kill-timeout", "10", "--no-access-log", "--log-level", "warning"),
    ]


def worker_command() -> list[str]:
    """Return the command line of the background worker."""
    return [sys.executable, MANAGE, "worker"]
