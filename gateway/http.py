"""What every address below `/v1/` does: read, sign in, answer, and stop when the client leaves."""

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar, Protocol

import structlog
from channels.generic.http import AsyncHttpConsumer
from django.conf import settings

from accounts import keys, rights
from accounts.principal import Principal
from core import address
from core.errors import AppError
from core.request_id import Message, Receive, Scope, Send
from core.throttle import TooOften
from gateway import encoding, errors, idempotency, rate_limits
from gateway.answer_headers import EVENT_STREAM
from gateway.errors import (
    JSON,
    BodyTooLarge,
    Headers,
    InternalError,
    MethodNotAllowed,
    UnsupportedEncoding,
)
from gateway.keep_alive import KeepAlive
from llm import limits
from llm.limits import LimitExceeded, Refused
from llm.types import Call, Presence, RateLimit

logger = structlog.get_logger(__name__)

# A body that is too large is read and thrown away up to this many times the limit, because a
# client that still sends when we hang up never sees the answer.
PATIENCE = 4
SURFACE = "api"
DRAIN = "drain"  # of `Principal.on_disconnect`
MOST_SILENCES = 3  # before the first content; then the stream begins, whoever may answer


class HasRateLimit(Protocol):
    """What was counted against the limits of its caller."""

    @property
    def rate_limit(self) -> RateLimit | None: ...


class ClientLeft(Exception):
    """The connection ended before the request was complete."""


class ApiConsumer(AsyncHttpConsumer):  # type: ignore[misc]  # Channels has no types
    """One request of a program.

    Channels would await `handle()` before it looks at `http.disconnect`, subscribe each request to
    Redis and hop to a thread for each message. Here the answer is cancelled as soon as its client
    leaves, and nothing else happens.
    """

    method: ClassVar[str] = ""  # empty: any
    scope_needed: ClassVar[str] = ""  # of the key; empty: any key will do
    alive_event: ClassVar[bytes] = b": keep-alive\n\n"  # clients pass over comments
    is_made_once = False  # whether it heeds `Idempotency-Key`
    is_counted = False  # against limits on requests, before its body is kept; a call counts itself
    principal: Principal
    ip: str  # of the client; "" where nobody can say
    rate_limit: RateLimit | None = None  # of a request that is counted
    is_started = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.presence = Presence()
        self._keep_alive: KeepAlive | None = None
        self._silences = 0  # before the stream began
        self._headers: dict[bytes, bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.base_send = scope, send
        self.ip = address.of_scope(scope)
        refusal = await self._sign_in() or self._encoded()
        try:
            body = await self.read_body(receive, is_kept=refusal is None)
        except ClientLeft:
            return
        except AppError as error:
            refusal = refusal or error
        if refusal is not None:
            await self._refuse(refusal)
            return
        await self._answer_while_present(body, receive)

    async def read_body(self, receive: Receive, *, is_kept: bool) -> bytes:
        """Return the body; what is not to be kept is read to its end all the same."""
        return await _read(receive, is_kept=is_kept)

    async def handle(self, body: bytes) -> None:
        """Answer the request of `self.principal`; an `AppError` becomes the answer."""
        raise NotImplementedError

    async def send_headers(
        self, *, status: int = HTTPStatus.OK, headers: Headers | None = None
    ) -> None:
        self.is_started = True
        if not self.presence.has_left:
            await super().send_headers(status=status, headers=headers)

    async def send_body(self, body: bytes, *, more_body: bool = False) -> None:
        """Send a part of the answer; whoever has left is sent nothing more."""
        if (keep_alive := self._keep_alive) is not None:
            if keep_alive.is_speaking:
                await keep_alive.silence()
            keep_alive.note()
            if not more_body:
                keep_alive.end()
        if not self.presence.has_left:  # not by Channels: that is two coroutines more a piece
            await self.base_send(
                {"type": "http.response.body", "body": body, "more_body": more_body}
            )

    def keep_alive(self) -> None:
        """Let no proxy take the stream, which is to begin, for dead while it is silent."""
        self._keep_alive = KeepAlive(self._say_alive, settings.KEEP_ALIVE_SECONDS)
        self._keep_alive.begin()

    async def begin_stream(self, headers: Headers) -> None:
        """Send the headers of the stream, unless it has begun without them."""
        if not self.is_started:
            await self.send_headers(headers=[*EVENT_STREAM, *headers])

    async def send_json(self, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        """Answer with 200 and `body`."""
        await self._send_whole(HTTPStatus.OK, [JSON, *headers], body)

    async def answer_to(self, send: Send, body: bytes) -> None:
        """Answer the request to `send`, whether or not its client stays."""
        twin = type(self)()
        twin.scope, twin.base_send = self.scope, send
        twin.principal, twin.ip = self.principal, self.ip
        twin.is_made_once = False
        try:
            await twin._answer(body)
        finally:
            if twin._keep_alive is not None:
                twin._keep_alive.end()

    def header(self, name: bytes) -> str:
        """Return a header of the request, or ""."""
        if self._headers is None:  # the first of several of a name holds
            self._headers = dict(reversed(self.scope["headers"]))
        value = self._headers.get(name)
        return "" if value is None else str(value, "latin-1")

    def secret(self) -> str:
        """Return the API key of the request, or raise `InvalidApiKey`."""
        if key := self.header(b"x-api-key").strip():
            return key
        scheme, _, secret = self.header(b"authorization").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise keys.InvalidApiKey(
                "Send your API key in a header: `Authorization: Bearer pk-...` or "
                "`x-api-key: pk-...`."
            )
        return secret.strip()

    def limit_headers(self, of: HasRateLimit) -> Headers:
        """Return what is left of the caller's limits, as this wire format has it."""
        return rate_limits.openai(of.rate_limit)

    def error_body(self, error: AppError) -> bytes:
        """Return a failure as this wire format has it."""
        return errors.body(error)

    def error_event(self, error: AppError) -> bytes:
        """Return the last event of a stream that broke."""
        return encoding.error_event(error)

    def _is_resumed(self) -> bool:
        return self.is_made_once and idempotency.is_resumption(self.scope["method"], self.header)

    async def _sign_in(self) -> AppError | None:
        """Find out who asks, before any memory is spent on them; return what speaks against it."""
        try:
            if self.method and self.scope["method"] != self.method and not self._is_resumed():
                raise MethodNotAllowed(f"Use {self.method} here.")
            exact_ip = address.exact_of_scope(self.scope)
            self.principal = await keys.authenticate(self.secret(), self.ip, exact_ip)
            rights.check_scope(self.principal, self.scope_needed)
            if self.is_counted:
                await self._count()
        except TooOften as error:
            limits.note(Refused("Wrong API keys", "keys", ip=self.ip, surface=SURFACE))
            return error
        except AppError as error:
            return error
        except Exception:  # the edge: the client gets an answer, the log the reason
            logger.exception("gateway.failed", path=self.scope["path"])
            return InternalError()
        return None

    async def _count(self) -> None:
        """Count a request that asks no model, or raise `LimitExceeded`."""
        call = Call(principal=self.principal, surface=SURFACE, request_id="", ip=self.ip)
        self.rate_limit = await limits.count(call)

    def _encoded(self) -> AppError | None:
        """Return what speaks against a compressed body: it could be far larger than it looks."""
        encoding = self.header(b"content-encoding").strip().lower()
        if encoding in ("", "identity"):
            return None
        return UnsupportedEncoding(
            "Send the body as it is, without Content-Encoding.", param="Content-Encoding"
        )

    async def _say_alive(self) -> None:
        """Send a sign of life; before the first content only when it has been long in coming.

        Until then a failure is a plain answer with its status, which is worth more.
        """
        if self.presence.has_left:
            return
        if not self.is_started:
            self._silences += 1
            if self._silences < MOST_SILENCES:
                return
            await self.begin_stream([])
        await super().send_body(self.alive_event, more_body=True)

    async def _answer_while_present(self, body: bytes, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in one
        watcher = asyncio.create_task(self._end_when_client_leaves(task, receive))
        try:
            await self._answer(body)
        except asyncio.CancelledError:
            if not watcher.done():  # it was not the client: the server stops
                raise
            task.uncancel()
        finally:
            watcher.cancel()
            if self._keep_alive is not None:
                self._keep_alive.end()

    async def _end_when_client_leaves(self, answer: "asyncio.Task[Any]", receive: Receive) -> None:
        """Stop the answer at once; where the key says so, only if it takes too long to its end."""
        while (await receive())["type"] != "http.disconnect":
            continue
        self.presence.has_left = True
        if self.principal.on_disconnect == DRAIN:
            await asyncio.sleep(settings.DRAIN_SECONDS)
        answer.cancel()

    async def _answer(self, body: bytes) -> None:
        try:
            if self.is_made_once and idempotency.is_asked(self.header):
                await idempotency.serve(self, body)
            else:
                await self.handle(body)
        except AppError as error:
            await self._refuse(error)
        except Exception:  # the edge: the client gets an answer, the log the reason
            logger.exception("gateway.failed", path=self.scope["path"])
            await self._tell(InternalError())

    async def _refuse(self, error: AppError) -> None:
        logger.info("gateway.refused", code=error.code, status=int(error.http_status))
        await self._tell(error)

    async def _tell(self, error: AppError) -> None:
        if self._keep_alive is not None:
            self._keep_alive.end()
            await self._keep_alive.silence()
        if self.is_started:  # only an event stream can fail after its start
            await self.send_body(self.error_event(error))
            return
        headers = errors.headers(error)
        if isinstance(error, LimitExceeded):
            headers += self.limit_headers(error)
        if isinstance(error, MethodNotAllowed):
            # The answer to a request with a key is read with GET.
            allowed = f"GET, {self.method}" if self.is_made_once else self.method
            headers.append((b"allow", allowed.encode()))
        await self._send_whole(error.http_status, headers, self.error_body(error))

    async def _send_whole(self, status: int, headers: Headers, body: bytes) -> None:
        length = (b"content-length", b"%d" % len(body))
        await self.send_headers(status=status, headers=[*headers, length])
        await self.send_body(body)


async def _read(receive: Receive, *, is_kept: bool) -> bytes:
    """Return the body; one above `settings.MAX_BODY_BYTES` is never held in memory.

    One that is not to be kept is read to its end all the same, and the result is empty.
    """
    limit = settings.MAX_BODY_BYTES
    parts: list[bytes] = []
    size = 0
    has_more = True
    while has_more and size <= limit * PATIENCE:
        message = await _next_part(receive)
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            parts.clear()
        elif is_kept:
            parts.append(part)
        has_more = message.get("more_body", False)
    if size > limit:
        raise BodyTooLarge(f"The body is larger than {limit} bytes.")
    return b"".join(parts)


async def _next_part(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message
