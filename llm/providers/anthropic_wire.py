"""What is read of Anthropic's answers."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from billing.pricing import TokenUsage
from llm.errors import MalformedAnswer
from llm.providers import classify
from llm.providers.surrogates import Halves
from llm.providers.usage import credible, served_tier
from llm.types import Delta, End, FinishReason, Thought, ToolCallDelta

# What is not here (end_turn, stop_sequence) is a true end.
FINISH_REASONS: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # there would be more to say, if it were asked to go on
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class CacheCreation(Struct):
    """What the writes to the cache consist of."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class Usage(Struct):
    """Cumulative figures; the cache's are on top of the input."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int | None = None
    service_tier: Any = None


class Block(Struct):
    """A piece of content, or of a change to it."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None  # ends a thought
    data: str | None = None  # a thought that is hidden
    id: str | None = None
    name: str | None = None
    input: Any = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Document(Struct):
    """What is sent at once; it may be an error instead of what was asked for."""

    error: Any = None


class Answer(Document):
    """A whole answer, or the beginning of a streamed one."""

    content: list[Block] | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: Usage | None = None


class Event(Document):
    type: str | None = None
    index: int | None = None
    message: Answer | None = None
    content_block: Block | None = None
    delta: Block | None = None
    usage: Usage | None = None


Form = TypeVar("Form", bound=Document)


def read_event(provider: str, document: bytes, halves: Halves) -> Event:
    """Return what an event of a stream says, or raise the error that it stands for."""
    return _read(provider, document, halves, Event)


def whole_answer(provider: str, body: bytes, *, json_tool: str | None = None) -> tuple[Delta, End]:
    """Return an answer that came in one piece; the arguments of `json_tool` are its text."""
    halves = Halves()
    answer = _read(provider, body, halves, Answer)
    if answer.content is None:
        raise MalformedAnswer(f"The provider {provider} sent an answer without content.")
    text = "".join(block.text or "" for block in answer.content)
    calls: list[ToolCallDelta] = []
    for block in answer.content:
        if block.type != "tool_use":
            continue
        arguments = _arguments(block.input)
        if block.name == json_tool:
            text += arguments
        else:
            calls.append(ToolCallDelta(len(calls), block.id, block.name, arguments))
    thoughts = tuple(thought for block in answer.content if (thought := thought_of(block, halves)))
    delta = told(halves.join(text), calls, thoughts)
    stop_reason = answer.stop_reason
    if json_tool and not calls and stop_reason == "tool_use":
        stop_reason = None
    ended = end(
        stop_reason, answer.usage, answer.model, has_content=bool(text or calls or thoughts)
    )
    return delta, replace(ended, stop_sequence=answer.stop_sequence)


def thought_of(block: Block, halves: Halves) -> Thought | None:
    """Return the piece of thinking that a block, or a change to one, brings."""
    if not (block.thinking or block.signature or block.data):
        return None
    text = halves.join(block.thinking, of="thinking") if block.thinking else ""
    return Thought(text, block.signature or "", block.data or "")


def told(text: str, calls: Sequence[ToolCallDelta], thoughts: Sequence[Thought]) -> Delta:
    """Return what was said; thoughts by themselves only where they are more than their text."""
    is_more = any(thought.signature or thought.hidden for thought in thoughts)
    return Delta(
        text,
        tuple(calls),
        "".join([thought.text for thought in thoughts]),
        thoughts=tuple(thoughts) if is_more else (),
    )


def end(
    stop_reason: str | None, usage: Usage | None, model: str | None, *, has_content: bool
) -> End:
    """Return the end of an answer in our words."""
    return End(
        finish_reason=FINISH_REASONS.get(stop_reason or "", "stop"),
        usage=None if usage is None else _token_usage(usage, has_content=has_content),
        model=model,
        service_tier=served_tier(usage.service_tier if usage else None),
    )


def _token_usage(usage: Usage, *, has_content: bool) -> TokenUsage | None:
    written, for_an_hour = _written(usage)
    return credible(
        TokenUsage(
            input_tokens=usage.input_tokens or 0,
            cached_input_tokens=usage.cache_read_input_tokens or 0,
            cache_write_tokens=written - for_an_hour,
            cache_write_1h_tokens=for_an_hour,
            output_tokens=usage.output_tokens or 0,
        ),
        has_content=has_content,
    )


def _written(usage: Usage) -> tuple[int, int]:
    """Return all tokens that were written to the cache, and those that stay for an hour."""
    parts = usage.cache_creation or CacheCreation()
    for_an_hour = parts.ephemeral_1h_input_tokens or 0
    total = usage.cache_creation_input_tokens
    if total is None:
        total = for_an_hour + (parts.ephemeral_5m_input_tokens or 0)
    return total, for_an_hour


def _arguments(input: Any) -> str:
    """Return a tool call's arguments as text; what is no JSON stays as the model wrote it."""
    return input if isinstance(input, str) else msgspec.json.encode(input or {}).decode()


def _read(provider: str, document: bytes, halves: Halves, form: type[Form]) -> Form:
    try:
        content = msgspec.json.decode(document, type=form)
    except classify.UNREADABLE as error:
        decoded = halves.decode(document, form)
        if decoded is None:
            raise MalformedAnswer(f"The provider {provider} sent what is not an answer.") from error
        content = decoded
    if content.error is not None:
        raise classify.in_answer(provider, content.error)
    return content
