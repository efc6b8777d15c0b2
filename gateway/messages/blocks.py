"""What Anthropic's messages consist of, as callers send it."""

from typing import Any, Literal

from msgspec import Struct


class CacheControl(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A mark: what comes before it is worth keeping in the vendor's cache."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Part(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    cache_control: CacheControl | None = None


class TextBlock(Part, frozen=True, kw_only=True, tag="text"):
    text: str
    citations: None = None  # they come with documents that Parley does not take


class Base64Source(Struct, frozen=True, tag="base64", tag_field="type", forbid_unknown_fields=True):
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str

    @property
    def url(self) -> str:
        return f"data:{self.media_type};base64,{self.data}"


class UrlSource(Struct, frozen=True, tag="url", tag_field="type", forbid_unknown_fields=True):
    url: str


class ImageBlock(Part, frozen=True, kw_only=True, tag="image"):
    source: Base64Source | UrlSource


class TextSource(Struct, frozen=True, tag="text", tag_field="type", forbid_unknown_fields=True):
    data: str
    media_type: Literal["text/plain"]


class NoCitations(Struct, frozen=True, forbid_unknown_fields=True):
    enabled: Literal[False] | None = None


class DocumentBlock(Part, frozen=True, kw_only=True, tag="document"):
    """A plain text; what else a document may be is refused."""

    source: TextSource
    title: str | None = None
    context: str | None = None
    citations: NoCitations | None = None


class DirectCaller(Struct, frozen=True, tag="direct", tag_field="type", forbid_unknown_fields=True):
    """The model itself, and not a program that it wrote."""


class ToolUseBlock(Part, frozen=True, kw_only=True, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]
    caller: DirectCaller | None = None
    toolset_name: None = None


class ToolResultBlock(Part, frozen=True, kw_only=True, tag="tool_result"):
    tool_use_id: str
    content: str | tuple[TextBlock | ImageBlock | DocumentBlock, ...] | None = None
    is_error: bool | None = None
    toolset_name: None = None


class ThinkingBlock(
    Struct, frozen=True, tag="thinking", tag_field="type", forbid_unknown_fields=True
):
    thinking: str
    signature: str


class RedactedThinkingBlock(
    Struct, frozen=True, tag="redacted_thinking", tag_field="type", forbid_unknown_fields=True
):
    data: str


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | ToolUseBlock
    | ToolResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
)
TAKEN = "text, image, document (plain text), tool_use, tool_result, thinking, redacted_thinking"


class InputMessage(Struct, frozen=True, forbid_unknown_fields=True):
    role: Literal["user", "assistant", "system"]
    content: str | tuple[Block, ...]
