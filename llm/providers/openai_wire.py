"""What is read of OpenAI's answers: text, tool calls, why it ended, what it took. Nothing else."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from billing.pricing import TokenUsage
from llm.errors import MalformedAnswer, ProviderError
from llm.providers import classify
from llm.providers.surrogates import Halves
from llm.providers.usage import credible, served_tier
from llm.types import Delta, End, FinishReason, ToolCallDelta

FINISH_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class InputDetails(Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class OutputDetails(Struct, gc=False):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


NO_INPUT_DETAILS, NO_OUTPUT_DETAILS = InputDetails(), OutputDetails()


class Usage(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None


class Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # some servers send the object itself


class ToolCall(Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Part(Struct, gc=False):
    text: str | None = None


class Content(Struct):
    content: str | list[Part] | None = None  # Mistral sends parts where it thinks
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
    service_tier: Any = None
    object: str | None = None
    error: Any = None


_decode = msgspec.json.Decoder(Chunk).decode
_encode = msgspec.json.Encoder().encode
_decode_many = msgspec.json.Decoder(list[Chunk]).decode


def read_chunk(provider: str, document: bytes, halves: Halves) -> Chunk:
    """Return what a document says, or raise the error that it stands for."""
    try:
        chunk = _decode(document)
    except classify.UNREADABLE as error:
        decoded = halves.decode(document, Chunk)
        if decoded is None:
            raise _unreadable(provider, document) from error
        chunk = decoded
    if chunk.error is not None:
        raise classify.in_answer(provider, chunk.error)
    if chunk.object == "error":  # vLLM's
        raise classify.in_answer(provider, msgspec.json.decode(document))
    return chunk


def read_ordinary_chunks(documents: Sequence[bytes]) -> list[Chunk] | None:
    """Return what documents say, read as one; `None` where one of them has to be looked at."""
    try:
        chunks = _decode_many(b"[" + b",".join(documents) + b"]")
    except classify.UNREADABLE:
        return None
    for chunk in chunks:
        if chunk.error is not None or chunk.object == "error":
            return None
    return chunks if len(chunks) == len(documents) else None


def whole_answer(provider: str, body: bytes) -> tuple[Delta, End]:
    """Return an answer that came in one piece."""
    halves = Halves()
    answer = read_chunk(provider, body, halves)
    if not answer.choices:
        raise MalformedAnswer(f"The provider {provider} sent an answer without choices.")
    gathered = Gathered(CallNumbers())
    has_content = gathered.add(answer.choices)
    return gathered.delta(body, halves), End(
        finish_reason=finish_reason(provider, answer.choices[0].finish_reason),
        usage=token_usage(answer.usage, has_content=has_content),
        model=answer.model,
        service_tier=served_tier(answer.service_tier),
    )


class CallNumbers:
    """Numbers the tool calls of an answer; some vendors (Gemini) give each of them the number 0."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str | None, int]] = {}  # vendor's number -> last id, ours
        self._used: set[int] = set()
        self._highest = 0

    def number(self, index: int, id: str | None) -> int:
        """Return the number of the call that a piece belongs to: a new id begins a new call."""
        known = self._known.get(index)
        if known is not None and (id is None or id in ("", known[0])):
            return known[1]
        number = self._highest + 1 if index in self._used else index
        self._used.add(number)
        self._highest = max(self._highest, number)
        self._known[index] = (id, number)
        return number


class Gathered:
    """The content of several chunks."""

    def __init__(self, numbers: CallNumbers) -> None:
        self._numbers = numbers
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
                self._text.append(text if isinstance(text, str) else _joined(text))
                has_content = True
            if reasoning := content.reasoning_content or content.reasoning:
                self._reasoning.append(reasoning)
                has_content = True
            if content.tool_calls:
                self._tool_calls += map(
                    self._tool_call, range(len(content.tool_calls)), content.tool_calls
                )
                has_content = True
        return has_content

    def delta(self, raw: bytes, halves: Halves) -> Delta:
        return Delta(
            text=halves.join("".join(self._text)),
            tool_calls=tuple(self._tool_calls),
            reasoning=halves.join("".join(self._reasoning), of="reasoning"),
            raw=raw,
        )

    def _tool_call(self, position: int, call: ToolCall) -> ToolCallDelta:
        function = call.function or Function()
        arguments = function.arguments or ""
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        index = position if call.index is None else call.index
        return ToolCallDelta(
            index=self._numbers.number(index, call.id),
            id=call.id,
            name=function.name,
            arguments=arguments,
        )


def token_usage(usage: Usage | None, *, has_content: bool) -> TokenUsage | None:
    """Return OpenAI's figures as disjoint classes; `None` where there are none that can be true.

    Cached, spoken and seen input are parts of the input. What could be both spoken and cached
    counts as spoken, which is dearer; of pictures only what was not cached counts as pictures, for
    most vendors charge them as text. Speech and pictures are parts of the output, and so is
    reasoning, except with vendors whose total is larger than its parts: there it comes on top.
    """
    if usage is None:
        return None
    sent = _sent(usage.prompt_tokens or 0, usage.prompt_tokens_details or NO_INPUT_DETAILS)
    return credible(TokenUsage(**sent, **_received(usage)), has_content=has_content)


def _sent(prompt: int, parts: InputDetails) -> dict[str, int]:
    heard, cached = parts.audio_tokens or 0, parts.cached_tokens or 0
    if heard and cached + heard > prompt >= heard:
        cached = prompt - heard
    rest = prompt - cached - heard
    written = min(parts.cache_write_tokens or 0, max(rest, 0))
    seen = min(parts.image_tokens or 0, max(rest - written, 0))
    return {
        "input_tokens": rest - written - seen,
        "cached_input_tokens": cached,
        "cache_write_tokens": written,
        "audio_input_tokens": heard,
        "image_input_tokens": seen,
    }


def _received(usage: Usage) -> dict[str, int]:
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    parts = usage.completion_tokens_details or NO_OUTPUT_DETAILS
    spoken, drawn = parts.audio_tokens or 0, parts.image_tokens or 0
    reasoning = parts.reasoning_tokens or 0
    on_top = usage.total_tokens - prompt - completion if usage.total_tokens else 0
    if on_top:
        reasoning = on_top
    else:
        completion -= reasoning
    return {
        "output_tokens": completion - spoken - drawn,
        "reasoning_tokens": reasoning,
        "audio_output_tokens": spoken,
        "image_output_tokens": drawn,
    }


def without_usage(document: bytes) -> bytes:
    """Return a chunk as it was, but for its figures: whoever asks for them gets ours at the end."""
    try:
        fields: dict[str, Any] = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    except classify.UNREADABLE:  # half of a character that was cut in two
        fields = json.loads(document)
        return json.dumps({**fields, "usage": None}).encode()
    return _encode({**fields, "usage": None})


def finish_reason(provider: str, reason: str | None) -> FinishReason:
    """Return why the answer ended; raise where it did so by failing."""
    if reason == "error":
        raise classify.in_answer(provider, {})
    return FINISH_REASONS.get(reason or "", "stop")


def _joined(parts: list[Part]) -> str:
    return "".join(part.text or "" for part in parts)


def _unreadable(provider: str, document: bytes) -> ProviderError:
    """Return what a document means that is not a chunk: Gemini's list with an error, or nothing."""
    try:
        content = msgspec.json.decode(document)
    except classify.UNREADABLE:
        content = None
    match content:
        case [{"error": error}, *_] | {"error": error} if error:
            return classify.in_answer(provider, error)
    return MalformedAnswer(f"The provider {provider} sent what is not an answer.")
