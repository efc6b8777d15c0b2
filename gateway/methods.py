"""Several consumers at one address: each for a method of HTTP, or for a kind of client."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from core.request_id import Receive, Scope, Send
from gateway.http import ApiConsumer

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def by_method(*consumers: type[ApiConsumer]) -> Any:
    """Return what an address leads to, as `as_asgi` does for one consumer alone."""
    return ByMethod(*consumers)


class ByMethod:
    """An address; what it does depends on the method, and each has a consumer of its own."""

    def __init__(self, *consumers: type[ApiConsumer]) -> None:
        self.consumers = {consumer.method: consumer for consumer in consumers}
        allowed = ", ".join(sorted(self.consumers))

        class Refused(ApiConsumer):
            """Says which methods there are."""

            method: ClassVar[str] = allowed

        self._refused: Application = Refused.as_asgi()
        self._by_method: dict[str, Application] = {
            consumer.method: consumer.as_asgi() for consumer in consumers
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = self._by_method.get(scope["method"], self._refused)
        await application(scope, receive, send)


def by_client(openai: type[ApiConsumer], anthropic: type[ApiConsumer]) -> Any:
    """Return what an address leads to that both vendors have: each client gets what it reads."""
    return ByClient(openai, anthropic)


class ByClient:
    """An address that both vendors have, with a consumer for the clients of each."""

    def __init__(self, openai: type[ApiConsumer], anthropic: type[ApiConsumer]) -> None:
        self.consumers = {"openai": openai, "anthropic": anthropic}
        self._for_openai: Application = openai.as_asgi()
        self._for_anthropic: Application = anthropic.as_asgi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
        application = self._for_anthropic if is_anthropic else self._for_openai
        await application(scope, receive, send)
