"""Answers in OpenAI's wire format; what a vendor already wrote in it is relayed as it came."""

import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from billing.money import exactly
from billing.pricing import TokenUsage
from core.errors import AppError
from gateway import errors
from gateway.answer_headers import room_after
from llm.tools.calls import joined
from llm.types import (
    Delta,
    Finished,
    FinishReason,
    ModelOffer,
    Started,
    ToolCall,
    ToolCallDelta,
)

FRAME_END = b"\n\n"
DONE = b"data: [DONE]\n\n"
USAGE = b'"usage":'

_encode = msgspec.json.Encoder().encode


class FunctionDelta(Struct, omit_defaults=True):
    name: str | None = None
    arguments: str | None = None


class ToolCallChunk(Struct, omit_defaults=True):
    function: FunctionDelta
    index: int | None = None
    id: str | None = None
    type: Literal["function"] | None = None


class Content(Struct, omit_defaults=True):
    """What is new in a chunk."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None  # not OpenAI's, but what the others have agreed on
    tool_calls: list[ToolCallChunk] | None = None


class ChunkChoice(Struct, kw_only=True):
    index: int = 0
    delta: Content
    logprobs: None = None
    finish_reason: FinishReason | None = None


class Usage(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class Chunk(Struct, tag="chat.completion.chunk", tag_field="object"):
    id: str
    created: int
    model: str
    choices: list[ChunkChoice]


class UsageChunk(Chunk, tag="chat.completion.chunk"):
    usage: Usage | None


class Settled(Struct):
    """What the headers of a whole answer say, which those of a stream come too early for."""

    usage_id: str
    provider: str
    model: str
    cost_usd: str | None  # exactly; None: the model has no price
    budget_remaining_usd: str | None  # None: no hard budget applies


class LastChunk(UsageChunk, tag="chat.completion.chunk"):
    parley: Settled


class WholeMessage(Struct, kw_only=True):
    role: Literal["assistant"] = "assistant"
    content: str | None
    tool_calls: tuple[ToolCall, ...] | msgspec.UnsetType = msgspec.UNSET
    refusal: None = None
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET


class WholeChoice(Struct, kw_only=True):
    index: int = 0
    message: WholeMessage
    logprobs: None = None
    finish_reason: FinishReason


class Whole(Struct, tag="chat.completion", tag_field="object"):
    id: str
    created: int
    model: str
    choices: list[WholeChoice]
    usage: Usage


class Model(Struct, tag="model", tag_field="object"):
    """A name that can be asked for, as `/v1/models` lists it."""

    id: str
    created: int
    owned_by: str


class Head(Struct):
    """What all chunks of one answer share."""

    id: str
    created: int
    model: str


class ChunkEncoder:
    """The server-sent events of one answer: one id, one moment, one model, the role first."""

    def __init__(
        self,
        started: Started,
        *,
        include_usage: bool,
        index: int = 0,
        head: Head | None = None,
    ) -> None:
        self._started = started
        self._head = head or head_of(started)
        self._include_usage = include_usage
        self._index = index  # of the answer, where there are several
        self._is_relayed = False
        self._has_role = False

    def delta(self, delta: Delta) -> bytes:
        """Return the events for the next piece of the answer."""
        if delta.raw is not None:
            if self._include_usage and not self._is_relayed:
                self._head = _head_of(delta.raw) or self._head
            self._is_relayed = True
            return _with_usage_field(delta.raw) if self._include_usage else delta.raw
        return self._role() + self._chunk(
            Content(
                content=delta.text or None,
                reasoning_content=delta.reasoning or None,
                tool_calls=[_tool_call(call) for call in delta.tool_calls] or None,
            )
        )

    def finish(self, finished: Finished) -> bytes:
        """Return the last events: why it ended, what it took if that was asked, `[DONE]`."""
        return self.close(finished) + self.done(finished)

    def close(self, finished: Finished) -> bytes:
        """Return the event that says why the answer ended."""
        if self._is_relayed:  # the vendor's own chunks say why
            return b""
        return self._role() + self._chunk(Content(), finished.finish_reason)

    def done(self, finished: Finished) -> bytes:
        """Return the end of the stream: what it took if that was asked, and `[DONE]`."""
        return self._last(finished) + DONE if self._include_usage else DONE

    def _last(self, finished: Finished) -> bytes:
        """Return the event without choices: what was used, by whom and at what cost."""
        head, usage = self._head, _usage(finished.usage)
        said = settled(self._started, finished)
        return event(LastChunk(head.id, head.created, head.model, [], usage, said))

    def _role(self) -> bytes:
        if self._has_role:
            return b""
        self._has_role = True
        return self._chunk(Content(role="assistant", content=""))

    def _chunk(self, content: Content, finish_reason: FinishReason | None = None) -> bytes:
        choice = ChunkChoice(index=self._index, delta=content, finish_reason=finish_reason)
        return self._event([choice])

    def _event(self, choices: list[ChunkChoice]) -> bytes:
        head = self._head
        if self._include_usage:  # then every chunk has the field
            return event(UsageChunk(head.id, head.created, head.model, choices, None))
        return event(Chunk(head.id, head.created, head.model, choices))


def whole(started: Started, deltas: Sequence[Delta], finished: Finished) -> bytes:
    """Return the body of an answer that is not streamed."""
    raw = deltas[0].raw if len(deltas) == 1 else None
    if raw is not None and not finished.is_estimated:
        return raw
    if raw is not None and (relayed := _with_usage(raw, finished.usage)) is not None:
        return relayed
    return whole_of(started, [choice(deltas, finished.finish_reason)], finished.usage)


def whole_of(started: Started, choices: list[WholeChoice], usage: TokenUsage) -> bytes:
    """Return the body of answers that no vendor has written in this form."""
    head = head_of(started)
    return _encode(Whole(head.id, head.created, head.model, choices, _usage(usage)))


def choice(deltas: Sequence[Delta], finish_reason: FinishReason, *, index: int = 0) -> WholeChoice:
    """Return an answer put together from its pieces."""
    message = WholeMessage(content="".join(delta.text for delta in deltas) or None)
    if calls := joined(call for delta in deltas for call in delta.tool_calls):
        message.tool_calls = calls
    if reasoning := "".join(delta.reasoning for delta in deltas):
        message.reasoning_content = reasoning
    return WholeChoice(index=index, message=message, finish_reason=finish_reason)


def _with_usage(raw: bytes, usage: TokenUsage) -> bytes | None:
    """Return the vendor's body with our own count; `None` where it cannot be read as JSON."""
    try:
        fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return _encode({**fields, "usage": _usage(usage)})


def settled(started: Started, finished: Finished) -> Settled:
    """Return who answered, at what cost, and what that leaves."""
    cost, room = finished.cost_usd, room_after(started, finished)
    return Settled(
        usage_id=str(started.usage_id),
        provider=started.provider,
        model=started.model,
        cost_usd=None if cost is None else exactly(cost),
        budget_remaining_usd=None if room is None else exactly(room),
    )


def model(offer: ModelOffer) -> Model:
    """Return `offer` as OpenAI would list it."""
    return Model(offer.id, int(offer.created_at.timestamp()), offer.provider)


def event(value: Any) -> bytes:
    """Return `value` as one server-sent event."""
    return b"data: " + _encode(value) + b"\n\n"


def error_event(error: AppError) -> bytes:
    """Return the event of a stream that broke: the clients raise, for no `[DONE]` follows."""
    return b"data: " + errors.body(error) + b"\n\n"


def head_of(started: Started) -> Head:
    """Return what all chunks of an answer that begins now share."""
    return Head(f"chatcmpl-{started.usage_id.hex}", int(time.time()), started.model)


def _head_of(frames: bytes) -> Head | None:
    """Return what the vendor wrote into its first chunk."""
    first = frames.partition(b"\n")[0].removeprefix(b"data:")
    try:
        return msgspec.json.decode(first, type=Head)
    except msgspec.DecodeError:
        return None


def _with_usage_field(frames: bytes) -> bytes:
    """Return a vendor's chunks, each with `usage` or null for it, as who asked for usage expects.

    OpenAI writes it; not every server that speaks its API does. A text that quotes the word has a
    backslash in it.
    """
    if USAGE not in frames:
        return frames.replace(b"}" + FRAME_END, b',"usage":null}' + FRAME_END)
    if frames.count(USAGE) == frames.count(FRAME_END):
        return frames
    return FRAME_END.join(
        frame if USAGE in frame or not frame.endswith(b"}") else frame[:-1] + b',"usage":null}'
        for frame in frames.split(FRAME_END)
    )


def _tool_call(call: ToolCallDelta) -> ToolCallChunk:
    return ToolCallChunk(
        function=FunctionDelta(name=call.name, arguments=call.arguments),
        index=call.index,
        id=call.id,
        type="function" if call.id else None,
    )


def _usage(usage: TokenUsage) -> Usage:
    return Usage(
        prompt_tokens=usage.total_input,
        completion_tokens=usage.total_output,
        total_tokens=usage.total_input + usage.total_output,
        prompt_tokens_details={"cached_tokens": usage.cached_input_tokens},
        completion_tokens_details={"reasoning_tokens": usage.reasoning_tokens},
    )
