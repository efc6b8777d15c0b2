"""A web server that kills itself at one step of a call's way through the books, as `kill -9` does.

PARLEY_TEST_CRASH_AT=held|settling|settled uvicorn tests.billing_crash:application
"""

import functools
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from config.asgi import application  # isort: skip - it sets Django up
from billing import ledger  # isort: skip

__all__ = ["application"]


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit  # nobody comes here


def before(service: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(service)
    async def dies(*_: Any) -> None:
        die()

    return dies


def after(service: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(service)
    async def dies(*arguments: Any) -> None:
        await service(*arguments)
        die()

    return dies


match os.environ.get("PARLEY_TEST_CRASH_AT"):
    case "held":
        ledger.hold = after(ledger.hold)  # type: ignore[assignment]
    case "settling":
        ledger.settle = before(ledger.settle)  # type: ignore[assignment]
    case "settled":
        ledger.settle = after(ledger.settle)  # type: ignore[assignment]
