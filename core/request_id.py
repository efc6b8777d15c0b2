"""One id per request: taken from `X-Request-ID` or made, returned, and in every log line."""

import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import structlog

from core.ids import new_id

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADER = b"x-request-id"
ACCEPTED = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

_current: ContextVar[str] = ContextVar("request_id", default="")


def current() -> str:
    """Return the id of the request being served; outside of one, a new id."""
    return _current.get() or new_id().hex


class RequestId:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id = _from_header(scope) or new_id().hex
        _current.set(request_id)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (HEADER, request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_id)


def _from_header(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == HEADER and ACCEPTED.fullmatch(value):
            return str(value, "ascii")
    return None
