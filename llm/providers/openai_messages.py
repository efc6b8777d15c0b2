"""A conversation as OpenAI's wire has it: without what is for Anthropic's models alone."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from llm.types import ImagePart, Message, TextPart, Tool

ERROR = "Error: "  # this wire has no other word for a tool that has failed


def messages(asked: Sequence[Message]) -> Sequence[Message]:
    """Return the messages; `asked` itself where all of it can be said."""
    if not any(message.anthropic or _has_pictures(message) for message in asked):
        return asked
    told: list[Message] = []
    pictures: list[ImagePart] = []  # of the results just told
    for message in asked:
        if pictures and message.role != "tool":
            told.append(Message("user", tuple(pictures)))
            pictures = []
        told.append(_plain(message))
        if _has_pictures(message):
            pictures += [part for part in message.content or () if isinstance(part, ImagePart)]
    return [*told, Message("user", tuple(pictures))] if pictures else told


def tools(asked: Sequence[Tool]) -> Sequence[Tool]:
    """Return the tools with those fields alone that this wire has."""
    return [replace(tool, anthropic=msgspec.UNSET) if tool.anthropic else tool for tool in asked]


def _has_pictures(message: Message) -> bool:
    """Return whether a tool's result has pictures, which only a user can send."""
    content = message.content
    return (
        message.role == "tool"
        and isinstance(content, tuple)
        and any(isinstance(part, ImagePart) for part in content)
    )


def _plain(message: Message) -> Message:
    content = message.content
    if _has_pictures(message):
        content = tuple(part for part in content or () if isinstance(part, TextPart))
        content = content or "The result is the picture that follows."
    if message.anthropic is not None and message.anthropic.is_error:
        content = _as_error(content)
    return replace(message, content=content, anthropic=None)


def _as_error(
    content: str | tuple[TextPart | ImagePart, ...] | None,
) -> str | tuple[TextPart | ImagePart, ...]:
    if isinstance(content, tuple):
        return (TextPart(ERROR), *content)
    return ERROR + (content or "")
