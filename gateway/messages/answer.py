"""An answer as Anthropic has it: a message of blocks."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from billing.pricing import TokenUsage
from llm import thoughts
from llm.tools.calls import joined
from llm.types import Delta, Finished, FinishReason, Started, Thought, ToolCall

STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
# How Anthropic itself lets callers hand over arguments that are no JSON object.
INVALID_JSON = "INVALID_JSON"

_encode = msgspec.json.Encoder().encode


class Text(Struct, tag="text", tag_field="type"):
    text: str


class Thinking(Struct, tag="thinking", tag_field="type"):
    thinking: str
    signature: str


class RedactedThinking(Struct, tag="redacted_thinking", tag_field="type"):
    data: str


class ToolUse(Struct, tag="tool_use", tag_field="type"):
    id: str
    name: str
    input: dict[str, Any]


class OutputDetails(Struct):
    thinking_tokens: int


class Usage(Struct, kw_only=True):
    """What was booked; what the vendor's cache gave or took is no part of the input."""

    input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens: int = 0
    output_tokens_details: OutputDetails | msgspec.UnsetType = msgspec.UNSET


class WholeMessage(Struct, kw_only=True, tag="message", tag_field="type"):
    id: str
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[Text | Thinking | RedactedThinking | ToolUse]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Usage


def whole(started: Started, deltas: Sequence[Delta], finished: Finished) -> bytes:
    """Return the body of an answer that is not streamed."""
    text = "".join(delta.text for delta in deltas)
    calls = joined(call for delta in deltas for call in delta.tool_calls)
    content: list[Text | Thinking | RedactedThinking | ToolUse] = [
        RedactedThinking(thought.hidden)
        if thought.hidden
        else Thinking(thought.text, thought.signature)
        for thought in thoughts.joined(pieces(deltas))
    ]
    if text:
        content.append(Text(text))
    content += [_tool_use(number, call, started) for number, call in enumerate(calls)]
    message = begun(started)
    message.content = content
    message.stop_reason, message.stop_sequence = ending(finished)
    message.usage = usage_of(finished.usage)
    return _encode(message)


def begun(started: Started) -> WholeMessage:
    """Return a message that says nothing yet."""
    return WholeMessage(
        id=f"msg_{started.usage_id.hex}", model=started.model, content=[], usage=Usage()
    )


def pieces(deltas: Iterable[Delta]) -> Iterable[Thought]:
    """Return what was thought, as it came."""
    for delta in deltas:
        yield from delta.thoughts or ((Thought(delta.reasoning),) if delta.reasoning else ())


def ending(finished: Finished) -> tuple[str, str | None]:
    """Return why the answer ended, and the stop sequence that ended it."""
    if finished.stop_sequence is not None:
        return "stop_sequence", finished.stop_sequence
    return STOP_REASONS[finished.finish_reason], None


def usage_of(usage: TokenUsage) -> Usage:
    """Return what was booked, in Anthropic's classes."""
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    found = Usage(
        input_tokens=usage.total_input - usage.cached_input_tokens - written,
        cache_creation_input_tokens=written,
        cache_read_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.total_output,
    )
    if usage.reasoning_tokens:
        found.output_tokens_details = OutputDetails(usage.reasoning_tokens)
    return found


def tool_use_id(given: str | None, number: int, started: Started) -> str:
    """Return the vendor's name of a call, or one of ours where it gives none."""
    return given or f"toolu_{started.usage_id.hex}_{number}"


def _tool_use(number: int, call: ToolCall, started: Started) -> ToolUse:
    function = call.function
    return ToolUse(tool_use_id(call.id, number, started), function.name, _input(function.arguments))


def _input(arguments: str) -> dict[str, Any]:
    """Return a call's arguments; what is no JSON object is handed over as the model wrote it."""
    try:
        return msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        return {INVALID_JSON: arguments}
