"""Anthropic's request in our words."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from core.errors import InvalidRequest
from gateway.messages import betas, wire
from gateway.messages.blocks import (
    Block,
    CacheControl,
    DocumentBlock,
    ImageBlock,
    InputMessage,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from gateway.messages.wire import AnyChoice, Asked, AutoChoice, CustomTool, NoChoice, Question
from gateway.messages.wire import ToolChoice as NamedChoice
from llm.guardrails import documents
from llm.types import (
    ChatRequest,
    ForAnthropic,
    FunctionCall,
    FunctionDefinition,
    ImagePart,
    ImageUrl,
    Message,
    TextPart,
    Thought,
    Tool,
    ToolCall,
)

Shown = TextBlock | ImageBlock | DocumentBlock

SCHEMA_NAME = "answer"  # OpenAI's wire wants one
OWN_FIELDS = ("cache_control", "eager_input_streaming", "input_examples")  # of a tool
ENABLED = "enabled"

_encode = msgspec.json.Encoder().encode


def chat_request(asked: Asked, beta_header: str = "") -> ChatRequest:
    """Return the request as the layers below know it; raise `InvalidRequest` by the field."""
    named = betas.wanted(beta_header, asked)
    return msgspec.structs.replace(
        counted(asked),
        stream=bool(asked.stream),
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        stop=asked.stop_sequences or (),
        extra=_extra(asked),
        anthropic=_needs(asked),
        anthropic_hints=_hints(asked) | ({"betas": named} if named else {}),
    )


def counted(question: Question) -> ChatRequest:
    """Return what of the request is input."""
    return ChatRequest(
        model=question.model,
        messages=(*_system(question.system), *_messages(question.messages)),
        tools=tuple(_tool(tool) for tool in wire.tools(question)),
        tool_choice=_tool_choice(question) if question.tools else None,
        response_format=_response_format(question.schema),
    )


def _extra(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if asked.tools and getattr(asked.tool_choice, "disable_parallel_tool_use", False):
        found["parallel_tool_calls"] = False
    if asked.service_tier == "standard_only":  # the other value is what happens without one
        found["service_tier"] = "default"
    return found


def _needs(asked: Asked) -> dict[str, Any]:
    """Return what only Anthropic's models can do."""
    found: dict[str, Any] = {}
    if asked.thinking is not None and asked.thinking.type == ENABLED:
        found["thinking"] = msgspec.to_builtins(asked.thinking)
    if asked.top_k is not None:
        found["top_k"] = asked.top_k
    return found


def _hints(asked: Asked) -> dict[str, Any]:
    """Return what others do without."""
    found: dict[str, Any] = {}
    if asked.thinking is not None and asked.thinking.type != ENABLED:
        found["thinking"] = msgspec.to_builtins(asked.thinking)
    if asked.cache_control is not None:
        found["cache_control"] = msgspec.to_builtins(asked.cache_control)
    if asked.context_management is not None:
        found["context_management"] = asked.context_management
    if asked.output_config is not None and asked.output_config.effort:
        found["output_config"] = {"effort": asked.output_config.effort}
    if asked.metadata is not None and asked.metadata.user_id:
        found["metadata"] = {"user_id": asked.metadata.user_id}
    return found


def _system(system: str | tuple[TextBlock, ...] | None) -> list[Message]:
    if not system:
        return []
    if isinstance(system, str):
        return [Message("system", system)]
    return [_message("system", system)]


def _messages(messages: Sequence[InputMessage]) -> list[Message]:
    return [
        told
        for number, message in enumerate(messages)
        for told in _told(message, f"messages[{number}]")
    ]


def _told(message: InputMessage, at: str) -> list[Message]:
    """Return a turn in our words: each result of a tool is a message of its own."""
    if isinstance(message.content, str):
        return [Message(message.role, message.content)]
    if message.role == "assistant":
        return [_answer(message.content, at)]
    _check(message.content, _OF_SYSTEM if message.role == "system" else _OF_USER, message.role, at)
    results = [_result(block) for block in message.content if isinstance(block, ToolResultBlock)]
    rest = [block for block in message.content if isinstance(block, _SHOWN)]
    return results if results and not rest else [*results, _message(message.role, rest)]


def _message(role: Literal["system", "user", "assistant"], shown: Sequence[Shown]) -> Message:
    return Message(role, _content(shown), anthropic=_own(shown))


def _answer(blocks: Sequence[Block], at: str) -> Message:
    """Return an earlier answer: its thoughts, what it said, the tools it called."""
    _check(blocks, _OF_ASSISTANT, "assistant", at)
    thoughts = [
        Thought(block.thinking, block.signature)
        if isinstance(block, ThinkingBlock)
        else Thought(hidden=block.data)
        for block in blocks
        if isinstance(block, ThinkingBlock | RedactedThinkingBlock)
    ]
    said = [block for block in blocks if isinstance(block, TextBlock)]
    uses = [block for block in blocks if isinstance(block, ToolUseBlock)]
    calls = tuple(
        ToolCall(use.id, FunctionCall(use.name, _encode(use.input).decode())) for use in uses
    )
    content = _content(said) if said else (None if calls else "")
    own = _own([*said, *uses], tuple(thoughts))
    return Message("assistant", content, tool_calls=calls or None, anthropic=own)


def _result(block: ToolResultBlock) -> Message:
    content = block.content or ""
    # A mark within a result is as good as one on it.
    inner = () if isinstance(content, str) else content
    marked = next((one for one in (block, *reversed(inner)) if one.cache_control), block)
    return Message(
        "tool",
        content if isinstance(content, str) else _content(content),
        tool_call_id=block.tool_use_id,
        anthropic=_own([marked], is_error=bool(block.is_error)),
    )


def _content(shown: Sequence[Shown]) -> str | tuple[TextPart | ImagePart, ...]:
    """Return a single text as such, for not every server takes parts everywhere."""
    match parts := tuple(_part(block) for block in shown):
        case (TextPart(text=text),):
            return text
    return parts


def _part(block: Shown) -> TextPart | ImagePart:
    if isinstance(block, ImageBlock):
        return ImagePart(ImageUrl(block.source.url))
    return TextPart(block.text if isinstance(block, TextBlock) else _document(block))


def _document(block: DocumentBlock) -> str:
    """Return a document as a text that says where it begins and ends."""
    named = [("title", block.title), ("context", block.context)]
    about = "".join(f"{name}: {value}\n" for name, value in named if value)
    # A document cannot end itself and go on as the caller's own words.
    inner = documents.CLOSES.sub("&lt;/document>", about + block.source.data)
    return f"<document>\n{inner}\n</document>"


def _own(
    blocks: Iterable[Block], thoughts: tuple[Thought, ...] = (), *, is_error: bool = False
) -> ForAnthropic | None:
    marks = {
        number: msgspec.to_builtins(mark)
        for number, block in enumerate(blocks)
        if (mark := _mark(block)) is not None
    }
    if not (marks or thoughts or is_error):
        return None
    return ForAnthropic(thoughts, is_error, marks)


def _mark(block: Block) -> CacheControl | None:
    return None if isinstance(block, ThinkingBlock | RedactedThinkingBlock) else block.cache_control


def _check(blocks: Sequence[Block], taken: tuple[type[Block], ...], role: str, at: str) -> None:
    for number, block in enumerate(blocks):
        if not isinstance(block, taken):
            kind = block.__struct_config__.tag
            param = f"{at}.content[{number}].type"
            raise InvalidRequest(f"`{param}` is wrong: {role} cannot send {kind}.", param=param)


def _tool(tool: CustomTool) -> Tool:
    fields = {name: value for name in OWN_FIELDS if (value := getattr(tool, name)) is not None}
    return Tool(
        FunctionDefinition(tool.name, tool.description, tool.input_schema, tool.strict),
        anthropic=msgspec.to_builtins(fields) if fields else msgspec.UNSET,
    )


def _tool_choice(question: Question) -> str | dict[str, Any] | None:
    match question.tool_choice:
        case None:
            return None
        case AutoChoice():
            return "auto"
        case AnyChoice():
            return "required"
        case NoChoice():
            return "none"
        case NamedChoice(name=name):
            return {"type": "function", "function": {"name": name}}


def _response_format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    wanted = {"name": SCHEMA_NAME, "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": wanted}


_SHOWN = (TextBlock, ImageBlock, DocumentBlock)
_OF_USER: tuple[type[Block], ...] = (*_SHOWN, ToolResultBlock)
_OF_SYSTEM: tuple[type[Block], ...] = (TextBlock,)
_OF_ASSISTANT: tuple[type[Block], ...] = (
    TextBlock,
    ToolUseBlock,
    ThinkingBlock,
    RedactedThinkingBlock,
)
