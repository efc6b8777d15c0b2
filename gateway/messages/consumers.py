"""The API for Anthropic's clients: read its wire, make one call, write its wire."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus

import msgspec

from core import request_id
from core.errors import AppError
from gateway import extensions, rate_limits
from gateway.calls import begun, call_of, relay, send_whole
from gateway.errors import Headers, UnknownAddress, UnsupportedParameter
from gateway.http import ApiConsumer, HasRateLimit
from gateway.messages import answer, conversion, errors, events, wire
from gateway.messages.events import EventEncoder
from llm import service
from llm.types import Event


class AnthropicConsumer(ApiConsumer):
    """One request of a program that speaks Anthropic's wire."""

    scope_needed = "chat"
    alive_event = events.PING

    def limit_headers(self, of: HasRateLimit) -> Headers:
        return rate_limits.anthropic(of.rate_limit)

    def error_body(self, error: AppError) -> bytes:
        return errors.body(error)

    def error_event(self, error: AppError) -> bytes:
        return errors.event(error)

    async def send_headers(
        self, *, status: int = HTTPStatus.OK, headers: Headers | None = None
    ) -> None:
        """Send them with the request's id where Anthropic's clients look for it."""
        id = (b"request-id", request_id.current().encode())
        await super().send_headers(status=status, headers=[*(headers or ()), id])

    def refuse_headers(self) -> None:
        """Raise `UnsupportedParameter` for a header that would be without effect."""
        for name, why in wire.UNSUPPORTED_HEADERS.items():
            if self.header(name.encode()):
                raise UnsupportedParameter(f"`{name}` is not supported. {why}", param=name)


class Messages(AnthropicConsumer):
    """`POST /v1/messages`."""

    method = "POST"
    is_made_once = True

    async def handle(self, body: bytes) -> None:
        self.refuse_headers()
        asked = wire.parse(body)
        request = conversion.chat_request(asked, self.header(b"anthropic-beta"))
        call = call_of(self, asked.parley)
        request, call = await extensions.applied(asked.parley, request, call)
        async with aclosing(service.stream(request, call)) as answered:
            if asked.stream:
                await self._stream(answered)
            else:
                await send_whole(self, answered, answer.whole)

    async def _stream(self, answered: AsyncGenerator[Event, None]) -> None:
        encoder = EventEncoder(await begun(self, answered))
        await self.send_body(encoder.start(), more_body=True)
        await relay(self, answered, encoder)


class TokenCount(AnthropicConsumer):
    """`POST /v1/messages/count_tokens`."""

    method = "POST"
    is_counted = True

    async def handle(self, body: bytes) -> None:
        self.refuse_headers()
        request = conversion.counted(wire.parse_question(body))
        count = await service.count_tokens(request, self.principal)
        told = msgspec.json.encode({"input_tokens": count})
        await self.send_json(told, *self.limit_headers(self))


class Nothing(AnthropicConsumer):
    """Whatever else is asked for below `/v1/messages/`."""

    async def handle(self, body: bytes) -> None:
        raise UnknownAddress(f"There is nothing at {self.scope['path']}.")
