"""Calls to vendors over HTTP: one pool of connections per provider, errors in our classes.

aiohttp makes the connections and reads the answers; its session is left out. What a session works
out anew for each call (address, headers, cookies, redirects, a task that writes) is the same for
each call to an endpoint or not wanted: 72 µs a call with it, 27 without.
"""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection as Line
from aiohttp.http_exceptions import HttpProcessingError

from core.closed_addresses import ClosedAddress
from llm.errors import ConnectionFailed, MalformedAnswer, ProviderError, TimedOut
from llm.providers import addresses, classify, pools
from llm.providers.base import Timeouts
from llm.providers.pools import Endpoint, close, endpoint

__all__ = ["Endpoint", "close", "endpoint", "post"]

LONGEST_ANSWER = 64_000_000  # bytes; no model says so much, and a vendor's mistake may never end
MOST_HINTS = 10  # answers before the true one, such as "103 Early Hints"
LONGEST_REFUSAL = 65_536  # bytes that are read of an error's body
DRAIN_SECONDS = 0.25  # for the end of a connection that has said everything
ORDINARY = Timeouts()
# What a connection, the parser of its answers and our own clocks raise.
EXPECTED = (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError)


class post:
    """Send `body` and give the answer, whose status is 200; leaving early hangs up.

    Raises `ProviderError` for whatever goes wrong, also while the block reads the answer.
    """

    __slots__ = (
        "_body",
        "_clock",
        "_content",
        "_is_streamed",
        "_line",
        "_size",
        "_target",
        "_timeouts",
    )

    def __init__(
        self, target: Endpoint, body: bytes, *, is_streamed: bool, timeouts: Timeouts = ORDINARY
    ) -> None:
        self._target = target
        self._body = body
        self._is_streamed = is_streamed
        self._timeouts = timeouts
        self._size = 0  # of what has been read
        self._line: Line | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._content: aiohttp.StreamReader | None = None

    async def __aenter__(self) -> Self:
        """Return when the vendor has taken the call."""
        try:
            self._line, head = await pools.connect(self._target, self._timeouts.connect)
            await self._send(head)
        except EXPECTED as error:
            is_sent = self._line is not None
            self._hang_up()
            raise classified(self._target.provider, error, is_sent=is_sent) from error
        except BaseException:
            self._hang_up()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Keep the connection for the next call if this answer is over; close it if not."""
        self._hang_up()
        if isinstance(error, EXPECTED):
            raise classified(self._target.provider, error, is_sent=True) from error

    async def read(self) -> bytes:
        """Return the whole answer."""
        return b"".join([piece async for piece in self])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return what arrives next, as soon as it does."""
        received = await self._reader.readany()
        if not received:
            raise StopAsyncIteration
        self._size += len(received)
        if self._size > LONGEST_ANSWER:
            raise MalformedAnswer(f"The provider {self._target.provider} sent an endless answer.")
        return received

    def has_begun(self) -> None:
        """Allow from now on only the silence that is usual between two pieces."""
        if self._reader.is_eof():
            return  # a clock that starts now would stop the connection's next call
        protocol = self._protocol
        protocol.read_timeout = self._timeouts.idle
        protocol.start_timeout()

    async def drain(self) -> None:
        """Read the end of an answer that has said everything, so that its connection is kept."""
        if self._reader.at_eof():
            return
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._reader.read()
        except EXPECTED:
            return  # the connection is closed instead

    async def _send(self, head: bytes) -> None:
        """Write the call and read the answer's head; raise what a refusal means."""
        protocol = self._protocol
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._timeouts.first_token if self._is_streamed else None,
        )
        loop = asyncio.get_running_loop()
        self._clock = loop.call_later(self._timeouts.total, self._time_is_up)
        transport = protocol.transport
        if transport is None:
            raise ConnectionResetError
        transport.writelines((head, b"%d\r\n\r\n" % len(self._body), self._body))
        protocol.start_timeout()
        answer, self._content = await protocol.read()
        hints = 0
        while 100 <= answer.code < 200:  # it goes on to the true answer
            hints += 1
            if hints > MOST_HINTS:
                raise MalformedAnswer(f"The provider {self._target.provider} never answers.")
            answer, self._content = await protocol.read()
        if answer.code != 200:
            raise await self._refusal(answer.code, answer.headers)

    async def _refusal(self, status: int, headers: Mapping[str, str]) -> ProviderError:
        said = bytearray()
        while len(said) < LONGEST_REFUSAL and (more := await self._reader.readany()):
            said += more
        return classify.refusal(self._target.provider, status, bytes(said), headers)

    def _time_is_up(self) -> None:
        error = aiohttp.SocketTimeoutError("The answer took longer than it may in total.")
        self._protocol.set_exception(error)
        if self._content is not None:
            self._content.set_exception(error)

    def _hang_up(self) -> None:
        """Give the connection back, or close it where the answer is not over."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        if self._line is None:
            return
        if self._content is not None and self._content.is_eof():
            self._line.release()
        else:
            self._line.close()
        self._line = None

    @property
    def _protocol(self) -> ResponseHandler:
        assert self._line is not None and self._line.protocol is not None  # noqa: S101, PT018
        return self._line.protocol

    @property
    def _reader(self) -> aiohttp.StreamReader:
        assert self._content is not None  # noqa: S101 - there is an answer inside the block
        return self._content


def classified(name: str, error: BaseException, *, is_sent: bool) -> ProviderError:
    """Return the error class; what was sent before it broke may be charged."""
    if _is_closed(error):
        return addresses.refusal(name)
    if isinstance(error, TimeoutError):
        wanted = "answer" if is_sent else "accept a connection"
        result: ProviderError = TimedOut(f"The provider {name} did not {wanted} in time.")
    elif not is_sent:
        result = ConnectionFailed(f"The provider {name} cannot be reached.")
    elif isinstance(error, HttpProcessingError):
        result = MalformedAnswer(f"The provider {name} does not answer in HTTP.")
    else:
        result = classify.broken_off(name)
    result.may_have_been_billed = is_sent
    return result


def _is_closed(error: BaseException) -> bool:
    if isinstance(error, aiohttp.ClientConnectorError):
        return isinstance(error.os_error, ClosedAddress)
    return False
