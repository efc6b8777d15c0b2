"""A request to the API in this process: the test decides when its client leaves."""

import asyncio
import json
from typing import Any

from channels.consumer import AsyncConsumer

from core.request_id import Message
from tests.llm_support import eventually


class Edge:
    """One request, and what it is answered."""

    def __init__(self, secret: str, **body: Any) -> None:
        self.sent: list[Message] = []
        self._body: bytes | None = json.dumps(
            {"model": "test-model", "messages": [{"role": "user", "content": "Hello"}], **body}
        ).encode()
        self._left = asyncio.Event()
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "headers": [(b"authorization", f"Bearer {secret}".encode())],
            "client": ("127.0.0.1", 1),
        }

    @property
    def status(self) -> int | None:
        """The status of the answer, once it has begun."""
        return next((one["status"] for one in self.sent if "status" in one), None)

    @property
    def body(self) -> bytes:
        """What has come of the answer so far."""
        return b"".join(one.get("body", b"") for one in self.sent)

    @property
    def is_complete(self) -> bool:
        return bool(self.sent) and not self.sent[-1].get("more_body", True)

    def ask(self, consumer: type[AsyncConsumer]) -> asyncio.Task[None]:
        """Begin to answer."""
        return asyncio.ensure_future(consumer()(self.scope, self._receive, self._send))

    def leave(self) -> None:
        """Hang up."""
        self._left.set()

    async def until(self, words: bytes) -> None:
        """Return when the answer has these words."""
        await eventually(lambda: words in self.body)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)
