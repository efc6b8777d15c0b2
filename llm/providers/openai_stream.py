"""How a streamed answer of OpenAI's is read."""

from collections.abc import Iterator
from itertools import zip_longest

from llm.errors import MalformedAnswer, ProviderError
from llm.providers import classify
from llm.providers.openai_wire import (
    CallNumbers,
    Choice,
    Chunk,
    Gathered,
    Usage,
    finish_reason,
    read_chunk,
    read_ordinary_chunks,
    token_usage,
    without_usage,
)
from llm.providers.sse import SseParser, encode
from llm.providers.surrogates import Halves
from llm.providers.usage import served_tier
from llm.types import Delta, End

DONE = b"[DONE]"
ENOUGH = 4  # chunks in one read; from here on it is faster to read them as one document
MOST_WAITING = 100  # chunks without content; a vendor that sends no others must not fill the memory


class ChunkReader:
    """Turns what arrived in one read of the socket into one `Delta`.

    Chunks without content (the role, the finish reason) wait for the next one with content; what
    is left when the answer ends closes it.
    """

    def __init__(self, provider: str) -> None:
        self.is_done = False  # there is nothing more to read
        self._provider = provider
        self._parser = SseParser()
        self._waiting: list[bytes] = []
        self._has_content = False
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._model: str | None = None
        self._service_tier: object = None
        self._failure: ProviderError | None = None
        self._halves = Halves()
        self._numbers = CallNumbers()

    def read(self, received: bytes) -> Delta | None:
        """Return the content that `received` completes."""
        return self._read(self._parser.feed(received))

    def read_rest(self) -> Delta | None:
        """Return the content of a last event that lacks its empty line."""
        return None if self.is_done else self._read(self._parser.end())

    def end(self) -> End:
        """Return the end, or raise what came instead of one."""
        if self._failure is not None:
            raise self._failure
        if self._finish_reason is None:
            if not self.is_done:
                raise classify.broken_off(self._provider)
            if not self._has_content:
                raise MalformedAnswer(f"The provider {self._provider} sent an end without answer.")
        return End(
            finish_reason=finish_reason(self._provider, self._finish_reason),
            usage=token_usage(self._usage, has_content=self._has_content),
            model=self._model,
            service_tier=served_tier(self._service_tier),
            raw=encode(self._waiting) if self._waiting else None,
        )

    def _read(self, events: list[bytes]) -> Delta | None:
        gathered = Gathered(self._numbers)
        complete = 0  # how many of the waiting events go out with this content
        for event, choices in self._choices(events):
            if gathered.add(choices):
                self._waiting.append(event)
                complete = len(self._waiting)
            elif event not in self._waiting:  # an end that comes twice is one end
                del self._waiting[complete + MOST_WAITING - 1 :]
                self._waiting.append(event)
        if not complete:
            return None
        self._has_content = True
        raw = encode(self._waiting[:complete])
        del self._waiting[:complete]
        return gathered.delta(raw, self._halves)

    def _choices(self, events: list[bytes]) -> Iterator[tuple[bytes, list[Choice]]]:
        """Yield the choices of each event that has any, until the answer is done."""
        known: list[Chunk] = []
        if len(events) >= ENOUGH:
            known = read_ordinary_chunks(events[:-1] if events[-1] == DONE else events) or []
        for event, read in zip_longest(events, known):
            if event == DONE:
                self.is_done = True
                return
            try:
                chunk = read or read_chunk(self._provider, event, self._halves)
            except ProviderError as error:
                # What came before it in the same read is still to be given.
                self._failure = error
                self.is_done = True
                return
            self._note(chunk)
            if chunk.choices:
                yield event if chunk.usage is None else without_usage(event), chunk.choices

    def _note(self, chunk: Chunk) -> None:
        """Remember what a chunk says about the answer as a whole."""
        if chunk.usage is not None:
            self._usage = chunk.usage  # cumulative: the last one counts
        if self._model is None:
            self._model = chunk.model
        if chunk.service_tier is not None:
            self._service_tier = chunk.service_tier
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self._finish_reason = choice.finish_reason
