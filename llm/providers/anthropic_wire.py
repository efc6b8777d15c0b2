"""What is read of Anthropic's answers."""

from typing import Any

import msgspec
from msgspec import Struct

from billing.pricing import TokenUsage
from llm.errors import MalformedAnswer, ProviderError
from llm.providers import classify
from llm.providers.sse import SseParser
from llm.types import Delta, End, FinishReason, ToolCallDelta

FINISH_REASONS: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class Usage(Struct):
    """Cumulative figures; the cache's are on top of the input."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None


class Block(Struct):
    """A piece of content, or of a change to it."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    partial_json: str | None = None
    stop_reason: str | None = None


class Answer(Struct):
    """A whole answer, or the beginning of a streamed one."""

    content: list[Block] | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None
    error: Any = None


class Event(Struct):
    type: str | None = None
    index: int | None = None
    message: Answer | None = None
    content_block: Block | None = None
    delta: Block | None = None
    usage: Usage | None = None
    error: Any = None


_decode_event = msgspec.json.Decoder(Event).decode
_decode_answer = msgspec.json.Decoder(Answer).decode


class EventReader:
    """Turns what arrived in one read of the socket into one `Delta`."""

    def __init__(self, provider: str) -> None:
        self.is_done = False  # there is nothing more to read
        self._provider = provider
        self._parser = SseParser()
        self._usage = Usage()
        self._model: str | None = None
        self._stop_reason: str | None = None
        self._failure: ProviderError | None = None
        self._tools: dict[int | None, int] = {}  # block's number -> tool call's number
        self._without_arguments: set[int | None] = set()

    def read(self, received: bytes) -> Delta | None:
        """Return the content that `received` completes."""
        text: list[str] = []
        thinking: list[str] = []
        tool_calls: list[ToolCallDelta] = []
        for data in self._parser.feed(received):
            try:
                event = self._event(data)
            except ProviderError as error:
                # What came before it in the same read is still to be given.
                self._failure = error
                self.is_done = True
                break
            self._note(event)
            if block := event.content_block or event.delta:
                text.append(block.text or "")
                thinking.append(block.thinking or "")
            if call := self._tool_call(event):
                tool_calls.append(call)
        delta = Delta("".join(text), tuple(tool_calls), "".join(thinking))
        return delta if delta.text or delta.tool_calls or delta.reasoning else None

    def end(self) -> End:
        """Return the end, or raise what came instead of one."""
        if self._failure is not None:
            raise self._failure
        if self._stop_reason is None and not self.is_done:
            raise classify.broken_off(self._provider)
        return _end(self._stop_reason, self._usage, self._model)

    def _event(self, data: bytes) -> Event:
        try:
            event = _decode_event(data)
        except msgspec.DecodeError as error:
            raise _malformed(self._provider) from error
        if event.error is not None:
            raise classify.in_answer(self._provider, event.error)
        return event

    def _note(self, event: Event) -> None:
        """Remember what an event says about the answer as a whole."""
        if event.type == "message_stop":
            self.is_done = True
        if event.message is not None:
            self._model = event.message.model
            self._merge(event.message.usage)
        self._merge(event.usage)
        if event.delta is not None and event.delta.stop_reason:
            self._stop_reason = event.delta.stop_reason

    def _merge(self, usage: Usage | None) -> None:
        """Take over the figures of a later report; those it leaves out still hold."""
        for name in Usage.__struct_fields__ if usage is not None else ():
            if (value := getattr(usage, name)) is not None:
                setattr(self._usage, name, value)

    def _tool_call(self, event: Event) -> ToolCallDelta | None:
        """Return the piece of a tool call that an event brings."""
        block = event.content_block
        if block is not None and block.type == "tool_use":
            number = self._tools[event.index] = len(self._tools)
            self._without_arguments.add(event.index)
            return ToolCallDelta(index=number, id=block.id, name=block.name)
        if event.index not in self._tools:
            return None
        if event.delta is not None and event.delta.partial_json:
            self._without_arguments.discard(event.index)
            arguments = event.delta.partial_json
        elif event.type == "content_block_stop" and event.index in self._without_arguments:
            arguments = "{}"  # a tool without parameters: no arguments would not be JSON
        else:
            return None
        return ToolCallDelta(index=self._tools[event.index], arguments=arguments)


def whole_answer(provider: str, body: bytes) -> tuple[Delta, End]:
    """Return an answer that came in one piece."""
    try:
        answer = _decode_answer(body)
    except msgspec.DecodeError as error:
        raise _malformed(provider) from error
    if answer.error is not None:
        raise classify.in_answer(provider, answer.error)
    if answer.content is None:
        raise _malformed(provider)
    calls = [block for block in answer.content if block.type == "tool_use"]
    delta = Delta(
        text="".join(block.text or "" for block in answer.content),
        tool_calls=tuple(
            ToolCallDelta(index, call.id, call.name, msgspec.json.encode(call.input or {}).decode())
            for index, call in enumerate(calls)
        ),
        reasoning="".join(block.thinking or "" for block in answer.content),
    )
    return delta, _end(answer.stop_reason, answer.usage or Usage(), answer.model)


def _end(stop_reason: str | None, usage: Usage, model: str | None) -> End:
    return End(
        finish_reason=FINISH_REASONS.get(stop_reason or "", "stop"),
        usage=_token_usage(usage),
        model=model,
    )


def _token_usage(usage: Usage) -> TokenUsage | None:
    if not (usage.input_tokens or usage.output_tokens):
        return None
    return TokenUsage(
        input_tokens=usage.input_tokens or 0,
        cached_input_tokens=usage.cache_read_input_tokens or 0,
        cache_write_tokens=usage.cache_creation_input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
    )


def _malformed(provider: str) -> MalformedAnswer:
    return MalformedAnswer(f"The provider {provider} sent what cannot be read.")
