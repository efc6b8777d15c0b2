"""The body of `/v1/messages`, strictly typed: what is wrong is refused by its name."""

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from core.errors import InvalidRequest
from gateway import extensions
from gateway.errors import UnsupportedParameter
from gateway.extensions import Extensions
from gateway.messages.blocks import TAKEN, CacheControl, InputMessage, TextBlock
from gateway.validation import decode
from gateway.wire import Name, Positive

# Anthropic knows them; here they would be without effect, or priced wrongly.
UNSUPPORTED = {
    "container": "Parley runs no containers.",
    "diagnostics": "Parley has no diagnostics of the vendor's cache.",
    "inference_geo": "Parley cannot price it; staff choose the deployments of a model.",
    "mcp_servers": "Give the tools in `tools`.",
}
# What stands in headers, where Anthropic's client puts some parameters.
UNSUPPORTED_HEADERS = {
    "anthropic-user-profile-id": "The API key says who pays.",
    "anthropic-workspace-id": "The API key says who pays.",
}
CUSTOM = "custom"


class AutoChoice(Struct, frozen=True, tag="auto", tag_field="type", forbid_unknown_fields=True):
    disable_parallel_tool_use: bool | None = None


class AnyChoice(Struct, frozen=True, tag="any", tag_field="type", forbid_unknown_fields=True):
    disable_parallel_tool_use: bool | None = None


class ToolChoice(Struct, frozen=True, tag="tool", tag_field="type", forbid_unknown_fields=True):
    name: str
    disable_parallel_tool_use: bool | None = None


class NoChoice(Struct, frozen=True, tag="none", tag_field="type", forbid_unknown_fields=True):
    pass


class CustomTool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool that the caller runs."""

    name: Name
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None
    input_examples: tuple[dict[str, Any], ...] | None = None
    allowed_callers: tuple[Literal["direct"], ...] | None = None
    defer_loading: Literal[False] | None = None


class ToolKind(Struct):
    type: str | None = None


class Thinking(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Whether and how much the model thinks."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Positive | None = None
    display: Literal["summarized", "omitted"] | None = None


class Metadata(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    user_id: str | None = None


class OutputFormat(Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Struct, frozen=True, forbid_unknown_fields=True):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: OutputFormat | None = None


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be counted. `None` (or null) is as good as absent."""

    model: Name
    messages: Annotated[tuple[InputMessage, ...], Meta(min_length=1)]
    system: str | tuple[TextBlock, ...] | None = None
    tools: tuple[msgspec.Raw, ...] | None = None
    tool_choice: AutoChoice | AnyChoice | ToolChoice | NoChoice | None = None
    thinking: Thinking | None = None
    cache_control: CacheControl | None = None
    output_config: OutputConfig | None = None
    context_management: dict[str, Any] | None = None  # what is old may be left out
    output_format: OutputFormat | None = None  # an older name of `output_config.format`
    speed: Literal["standard"] | None = None  # the other one has another price

    @property
    def schema(self) -> dict[str, Any] | None:
        """Return the JSON schema that the answer is to fit."""
        config = self.output_config
        wanted = (config.format if config else None) or self.output_format
        return wanted.schema if wanted else None


class Asked(Question, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Anthropic's request."""

    model: Name = ""  # left out: the prompt's
    max_tokens: Positive
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    stop_sequences: tuple[str, ...] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    parley: Extensions | None = None  # not Anthropic's


Body = TypeVar("Body", bound=Question)

_asked = msgspec.json.Decoder(Asked)
_question = msgspec.json.Decoder(Question)
_kind = msgspec.json.Decoder(ToolKind)
_tool = msgspec.json.Decoder(CustomTool)


def parse(body: bytes) -> Asked:
    """Return the request in `body`, or raise an error that names the field."""
    asked = _checked(_read(_asked, body))
    extensions.check(asked.parley, asked.model)
    return asked


def parse_question(body: bytes) -> Question:
    """Return what is to be counted, or raise an error that names the field."""
    return _checked(_read(_question, body))


def tools(question: Question) -> tuple[CustomTool, ...]:
    """Return the caller's tools; raise `UnsupportedParameter` for one that a vendor runs."""
    return tuple(_read_tool(raw, f"tools[{at}]") for at, raw in enumerate(question.tools or ()))


def _read_tool(raw: msgspec.Raw, at: str) -> CustomTool:
    kind = decode(_kind, bytes(raw), at=at).type
    if kind not in (None, CUSTOM):
        raise UnsupportedParameter(
            f"`{at}.type` is not supported: {kind}. Parley takes your own tools (`custom`); "
            "it cannot price or run the vendor's.",
            param=f"{at}.type",
        )
    return decode(_tool, bytes(raw), at=at)


_A_BLOCK = re.compile(r"messages\[\d+\]\.content(\[\d+\](\.content|\.source)?)*\.type")


def _read(decoder: "msgspec.json.Decoder[Body]", body: bytes) -> Body:
    try:
        return decode(decoder, body, unsupported=UNSUPPORTED)
    except InvalidRequest as error:
        if not _A_BLOCK.fullmatch(error.param or "") or error.message.endswith("is missing."):
            raise
        raise UnsupportedParameter(
            f"{error.message} Parley takes blocks of the types {TAKEN}; of pictures the sources "
            "base64 and url, of documents the source text.",
            param=error.param,
        ) from None


def _checked(body: Body) -> Body:
    thinking = body.thinking
    if thinking is not None and (thinking.type == "enabled") != (
        thinking.budget_tokens is not None
    ):
        raise InvalidRequest(
            "`thinking.budget_tokens` belongs to the type `enabled`, and only there.",
            param="thinking.budget_tokens",
        )
    if isinstance(body.tool_choice, AnyChoice | ToolChoice) and not body.tools:
        raise InvalidRequest("`tool_choice` needs `tools`.", param="tool_choice")
    if body.output_format and body.output_config and body.output_config.format:
        raise InvalidRequest(
            "`output_format` and `output_config.format` are the same: give one.",
            param="output_format",
        )
    return body
