"""How Parley's processes are started: by `manage.py up`, the tests and the benchmark alike."""

import sys
from pathlib import Path

MANAGE = str(Path(__file__).resolve().parent.parent / "manage.py")


def web_command(*, host: str, port: int, processes: int = 1) -> list[str]:
    """Return the command line of the web server: uvicorn, for what it was measured to do."""
    return [
        *(sys.executable, "-m", "uvicorn", "config.asgi:application"),
        *("--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio"),
        *("--host", host, "--port", str(port), "--workers", str(processes)),
        # A thousand streams that start at once wait in the queue instead of being refused.
        *("--backlog", "8192"),
        # Longer than a client keeps a connection for its next call, so that it hangs up first.
        *("--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "10"),
        # Whose word is taken for a client's address is Parley's own setting (core/address.py).
        *("--no-proxy-headers", "--no-server-header"),
        *("--no-access-log", "--log-level", "warning"),
    ]


def worker_command() -> list[str]:
    """Return the command line of the background worker."""
    return [sys.executable, MANAGE, "worker"]
