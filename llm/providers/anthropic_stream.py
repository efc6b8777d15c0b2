"""How a streamed answer of Anthropic's is read."""

from msgspec.structs import replace

from llm.errors import MalformedAnswer, ProviderError
from llm.providers import classify
from llm.providers.anthropic_wire import Event, Usage, end, read_event, thought_of, told
from llm.providers.sse import SseParser
from llm.providers.surrogates import Halves
from llm.types import Delta, End, Thought, ToolCallDelta


class EventReader:
    """Turns what arrived in one read of the socket into one `Delta`."""

    def __init__(self, provider: str, *, json_tool: str | None = None) -> None:
        self.is_done = False  # there is nothing more to read
        self._provider = provider
        self._json_tool = json_tool  # its arguments are the answer
        self._json_block: int | None = -1  # no block has this number
        self._parser = SseParser()
        self._halves = Halves()
        self._usage: Usage | None = None
        self._model: str | None = None
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._failure: ProviderError | None = None
        self._has_content = False
        self._tools: dict[int | None, int] = {}  # block's number -> tool call's number
        self._without_arguments: set[int | None] = set()

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
        if self._stop_reason is None:
            if not self.is_done:
                raise classify.broken_off(self._provider)
            if not self._has_content:
                raise MalformedAnswer(f"The provider {self._provider} sent an end without answer.")
        is_json = self._json_block != -1 and not self._tools
        stop_reason = None if is_json and self._stop_reason == "tool_use" else self._stop_reason
        ended = end(stop_reason, self._usage, self._model, has_content=self._has_content)
        return replace(ended, stop_sequence=self._stop_sequence)

    def _read(self, documents: list[bytes]) -> Delta | None:
        text: list[str] = []
        thoughts: list[Thought] = []
        tool_calls: list[ToolCallDelta] = []
        for document in documents:
            if (event := self._take(document)) is None:
                break
            if block := event.content_block or event.delta:
                text.append(block.text or "")
                if thought := thought_of(block, self._halves):
                    thoughts.append(thought)
            if event.index == self._json_block:
                text.append(self._arguments(event))
            elif call := self._tool_call(event):
                tool_calls.append(call)
        delta = told(self._halves.join("".join(text)), tool_calls, thoughts)
        if not (delta.text or delta.tool_calls or delta.reasoning or delta.thoughts):
            return None
        self._has_content = True
        return delta

    def _take(self, document: bytes) -> Event | None:
        """Return an event, having noted what it says of the whole; `None`: it is the last one."""
        try:
            event = read_event(self._provider, document, self._halves)
        except ProviderError as error:
            # What came before it in the same read is still to be given.
            self._failure = error
            self.is_done = True
            return None
        if event.type == "message_stop":
            self.is_done = True
            return None
        if event.message is not None:
            self._model = event.message.model
            self._merge(event.message.usage)
        self._merge(event.usage)
        if event.delta is not None and event.delta.stop_reason:
            self._stop_reason = event.delta.stop_reason
            self._stop_sequence = event.delta.stop_sequence
        return event

    def _merge(self, usage: Usage | None) -> None:
        """Take over the figures of a later report; those it leaves out still hold."""
        if usage is None:
            return
        self._usage = self._usage or Usage()
        for name in Usage.__struct_fields__:
            if (value := getattr(usage, name)) is not None:
                setattr(self._usage, name, value)

    def _tool_call(self, event: Event) -> ToolCallDelta | None:
        """Return the piece of a tool call that an event brings."""
        block = event.content_block
        if block is None or block.type != "tool_use":
            if event.index in self._tools and (arguments := self._arguments(event)):
                return ToolCallDelta(index=self._tools[event.index], arguments=arguments)
            return None
        if event.index in self._tools:
            return None  # a beginning that comes twice is one beginning
        self._without_arguments.add(event.index)
        if block.name == self._json_tool:
            self._json_block = event.index
            return None
        number = self._tools[event.index] = len(self._tools)
        return ToolCallDelta(index=number, id=block.id, name=block.name)

    def _arguments(self, event: Event) -> str:
        """Return the arguments that an event adds to a call of a tool."""
        if event.delta is not None and event.delta.partial_json:
            self._without_arguments.discard(event.index)
            return self._halves.join(event.delta.partial_json, of=f"block {event.index}")
        if event.type == "content_block_stop" and event.index in self._without_arguments:
            self._without_arguments.discard(event.index)
            return "{}"  # a tool without parameters: no arguments would not be JSON
        return ""
