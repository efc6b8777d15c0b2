"""How an answer is read, whatever the wire: piece by piece, or in one."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from llm.providers import http
from llm.providers.base import Timeouts
from llm.providers.http import Endpoint
from llm.types import Delta, End


class Reader(Protocol):
    """Understands one streamed answer of a wire; it keeps what is not complete yet."""

    is_done: bool  # there is nothing more to read

    def read(self, received: bytes) -> Delta | None:
        """Return the content that `received` completes."""
        ...

    def read_rest(self) -> Delta | None:
        """Return the content of a last event that lacks its empty line."""
        ...

    def end(self) -> End:
        """Return the end, or raise the `ProviderError` that came instead of one."""
        ...


async def streamed(
    target: Endpoint, body: bytes, timeouts: Timeouts, reader: Reader
) -> AsyncGenerator[Delta | End, None]:
    """Yield the answer as `Provider.stream` promises."""
    async with http.post(target, body, is_streamed=True, timeouts=timeouts) as answer:
        has_begun = False
        async for received in answer:
            if delta := reader.read(received):
                if not has_begun:
                    answer.has_begun()
                    has_begun = True
                yield delta
            if reader.is_done:
                await answer.drain()
                break
        if delta := reader.read_rest():
            yield delta
        yield reader.end()


async def whole(
    target: Endpoint,
    body: bytes,
    timeouts: Timeouts,
    understand: Callable[[str, bytes], tuple[Delta, End]],
) -> AsyncGenerator[Delta | End, None]:
    """Yield the answer that comes in one piece; `understand` takes the provider's name and it."""
    async with http.post(target, body, is_streamed=False, timeouts=timeouts) as answer:
        received = await answer.read()
    for item in understand(target.provider, received):
        yield item
