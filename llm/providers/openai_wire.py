"""What is read of OpenAI's answers: text, tool calls, why it ended, what it took. Nothing else."""

import json
from typing import Any

import msgspec
from msgspec import Struct

from billing.pricing import TokenUsage
from llm.errors import MalformedAnswer, ProviderError
from llm.providers import classify
from llm.providers.sse import SseParser, encode
from llm.types import Delta, End, FinishReason, ToolCallDelta

FINISH_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
DONE = b"[DONE]"


class InputDetails(Struct, gc=False):
    cached_tokens: int | None = None


class OutputDetails(Struct, gc=False):
    reasoning_tokens: int | None = None


class Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None


class Function(Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Content(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # another name for the same
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(Struct):
    delta: Content | None = None
    message: Content | None = None
    finish_reason: str | None = None


class Chunk(Struct):
    """A chunk of a stream (`delta`) or a whole answer (`message`)."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    model: str | None = None
    error: Any = None


_decode = msgspec.json.Decoder(Chunk).decode


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
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._model: str | None = None
        self._failure: ProviderError | None = None
        self._halves = Halves()

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
        if self._finish_reason is None and not self.is_done:
            raise classify.broken_off(self._provider)
        return End(
            finish_reason=_finish_reason(self._provider, self._finish_reason),
            usage=token_usage(self._usage),
            model=self._model,
            raw=encode(self._waiting) if self._waiting else None,
        )

    def _read(self, events: list[bytes]) -> Delta | None:
        gathered = Gathered()
        complete = 0  # how many of the waiting events go out with this content
        for event in events:
            choices = self._take(event)
            if self.is_done:
                break
            if choices:
                self._waiting.append(event)
                if gathered.add(choices):
                    complete = len(self._waiting)
        if not complete:
            return None
        raw = encode(self._waiting[:complete])
        del self._waiting[:complete]
        return gathered.delta(raw, self._halves)

    def _take(self, event: bytes) -> list[Choice] | None:
        """Remember what an event says about the answer as a whole; return its choices."""
        if event == DONE:
            self.is_done = True
            return None
        try:
            chunk = self._chunk(event)
        except ProviderError as error:
            # What came before it in the same read is still to be given.
            self._failure = error
            self.is_done = True
            return None
        if chunk.usage is not None:
            self._usage = chunk.usage  # cumulative: the last one counts
        if self._model is None:
            self._model = chunk.model
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self._finish_reason = choice.finish_reason
        return chunk.choices

    def _chunk(self, event: bytes) -> Chunk:
        try:
            chunk = _decode(event)
        except msgspec.DecodeError:
            chunk = self._halves.decode(self._provider, event)
        if chunk.error is not None:
            raise classify.in_answer(self._provider, chunk.error)
        return chunk


class Gathered:
    """The content of several chunks."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._tool_calls: list[ToolCallDelta] = []

    def add(self, choices: list[Choice]) -> bool:
        """Add what `choices` bring; return whether that is anything."""
        has_content = False
        for choice in choices:
            content = choice.delta or choice.message
            if content is None:
                continue
            if text := content.content or content.refusal:
                self._text.append(text)
                has_content = True
            if reasoning := content.reasoning_content or content.reasoning:
                self._reasoning.append(reasoning)
                has_content = True
            if content.tool_calls:
                self._tool_calls += map(
                    _tool_call, range(len(content.tool_calls)), content.tool_calls
                )
                has_content = True
        return has_content

    def delta(self, raw: bytes, halves: "Halves") -> Delta:
        return Delta(
            text=halves.join("".join(self._text)),
            tool_calls=tuple(self._tool_calls),
            reasoning="".join(self._reasoning),
            raw=raw,
        )


class Halves:
    """Puts characters together that a vendor has cut into two surrogates, in two chunks."""

    def __init__(self) -> None:
        self._is_needed = False
        self._half = ""

    def decode(self, provider: str, event: bytes) -> Chunk:
        """Return a chunk that the strict decoder refuses, if a lone surrogate is all it has."""
        try:
            chunk = msgspec.convert(json.loads(event), Chunk)
        except (ValueError, msgspec.ValidationError) as error:
            raise MalformedAnswer(f"The provider {provider} sent what is not JSON.") from error
        self._is_needed = True
        return chunk

    def join(self, text: str) -> str:
        """Return the whole characters of `text`, and keep a half at its end for the next."""
        if not self._is_needed:
            return text
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def whole_answer(provider: str, body: bytes) -> tuple[Delta, End]:
    """Return an answer that came in one piece."""
    halves = Halves()
    try:
        answer = _decode(body)
    except msgspec.DecodeError:
        answer = halves.decode(provider, body)
    if answer.error is not None:
        raise classify.in_answer(provider, answer.error)
    if not answer.choices:
        raise MalformedAnswer(f"The provider {provider} sent an answer without choices.")
    gathered = Gathered()
    gathered.add(answer.choices)
    return gathered.delta(body, halves), End(
        finish_reason=_finish_reason(provider, answer.choices[0].finish_reason),
        usage=token_usage(answer.usage),
        model=answer.model,
    )


def token_usage(usage: Usage | None) -> TokenUsage | None:
    """Return OpenAI's figures as disjoint classes; `None` where there are none.

    Cached input is a part of the input. Reasoning is a part of the output, except with vendors
    whose total is larger than its parts: there it comes on top.
    """
    if usage is None or not (usage.prompt_tokens or usage.completion_tokens):
        return None
    prompt = usage.prompt_tokens or 0
    completion = usage.completion_tokens or 0
    details = usage.prompt_tokens_details
    cached = min(prompt, (details.cached_tokens if details else None) or 0)
    reasoning = max(0, (usage.total_tokens or 0) - prompt - completion)
    if not reasoning:
        spent = usage.completion_tokens_details
        reasoning = min(completion, (spent.reasoning_tokens if spent else None) or 0)
        completion -= reasoning
    return TokenUsage(
        input_tokens=prompt - cached,
        cached_input_tokens=cached,
        output_tokens=completion,
        reasoning_tokens=reasoning,
    )


def _tool_call(position: int, call: ToolCall) -> ToolCallDelta:
    function = call.function or Function()
    return ToolCallDelta(
        index=position if call.index is None else call.index,
        id=call.id,
        name=function.name,
        arguments=function.arguments or "",
    )


def _finish_reason(provider: str, reason: str | None) -> FinishReason:
    if reason == "error":
        raise classify.in_answer(provider, {})
    return FINISH_REASONS.get(reason or "", "stop")
