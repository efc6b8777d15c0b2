"""The body of `/v1/responses`, strictly typed: what is wrong is refused by its name."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from core.errors import InvalidRequest
from gateway import extensions
from gateway.errors import UnsupportedParameter
from gateway.extensions import Extensions
from gateway.responses.tools import FunctionTool
from gateway.validation import decode
from gateway.wire import Name, Positive, ServiceTier

# OpenAI knows them; what to do instead. `null` is as good as absent.
UNSUPPORTED = {
    "access_programs": "It is a matter of the vendor's account.",
    "background": "Ask with `stream: true`, or without.",
    "background_options": "Ask with `stream: true`, or without.",
    "context_management": "Send as much of the conversation as the model takes.",
    "conversation": "Send the whole conversation in `input`, or `previous_response_id`.",
    "image": "Send pictures as they are to be seen.",
    "moderation": "Parley's guardrails are set by its staff.",
    "prompt": "It names a prompt kept at OpenAI; `parley.prompt` names one kept in Parley.",
}
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
INCLUDABLE = (LOGPROBS, ENCRYPTED)

# Read one by one (`items`, `tools`), because a type decides what the rest has to be; so their
# schema is said here.
SentItem = Annotated[
    Raw,
    Meta(
        extra_json_schema={
            "type": "object",
            "description": "A message, function_call, function_call_output, reasoning or "
            "item_reference.",
        }
    ),
]
SentTool = Annotated[
    Raw, Meta(extra_json_schema=msgspec.json.schema_components([FunctionTool])[1]["FunctionTool"])
]

# What `_check` refuses in words of its own; here it is said for the schema.
Refused = Annotated[Any, Meta(extra_json_schema={"type": "null"})]
Truncation = Annotated[str, Meta(extra_json_schema={"enum": ["disabled"]})]
Includable = Annotated[str, Meta(extra_json_schema={"enum": list(INCLUDABLE)})]


class StreamOptions(Struct, frozen=True, forbid_unknown_fields=True):
    include_obfuscation: bool | None = None  # padding against observers of the wire; not needed


class Reasoning(Struct, frozen=True, forbid_unknown_fields=True):
    effort: str | None = None
    # A model that shows its thinking shows it whatever is asked for here.
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None  # its old name
    mode: Literal["standard"] | None = None  # the other has another price
    context: Literal["auto", "current_turn"] | None = None


class PlainText(Struct, frozen=True, tag="text", forbid_unknown_fields=True):
    pass


class JsonObject(Struct, frozen=True, tag="json_object", forbid_unknown_fields=True):
    pass


class JsonSchema(Struct, frozen=True, tag="json_schema", kw_only=True, forbid_unknown_fields=True):
    name: str
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class Text(Struct, frozen=True, forbid_unknown_fields=True):
    format: PlainText | JsonObject | JsonSchema | None = None
    verbosity: str | None = None


class PromptCacheOptions(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What Parley passes on of them; a response of before to compare with would be OpenAI's."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: str | None = None


class CreateResponse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's request. `None` (or null) is as good as absent."""

    model: Name = ""  # left out: the prompt's
    input: str | tuple[SentItem, ...] | None = None
    parley: Extensions | None = None  # not OpenAI's
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: Positive | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: tuple[SentTool, ...] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Positive | None = None  # of the vendor's own tools, and none are called here
    text: Text | None = None
    reasoning: Reasoning | None = None
    include: tuple[Includable, ...] | None = None
    metadata: dict[str, str] | None = None  # for the caller: it comes back with the answer
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: str | None = None
    service_tier: ServiceTier | None = None
    truncation: Truncation | None = None
    store: bool | None = None  # false: nothing is kept of it
    previous_response_id: str | None = None
    # Only to be refused, each with what to do instead.
    access_programs: Refused = None
    background: Annotated[bool, Meta(extra_json_schema={"enum": [False]})] | None = None
    background_options: Refused = None
    context_management: Refused = None
    conversation: Refused = None
    image: Refused = None
    moderation: Refused = None
    prompt: Refused = None

    @property
    def wants_logprobs(self) -> bool:
        return bool(self.top_logprobs) or LOGPROBS in (self.include or ())


_decoder = msgspec.json.Decoder(CreateResponse)


def parse(body: bytes) -> CreateResponse:
    """Return the request in `body`, or raise an error that names the field."""
    asked = decode(_decoder, body)
    _check(asked)
    extensions.check(asked.parley, asked.model)
    if asked.input is None and not (asked.parley and asked.parley.prompt):
        raise InvalidRequest("`input` is missing.", param="input")
    return asked


def _check(asked: CreateResponse) -> None:
    """Refuse what is known and not honoured."""
    for name, instead in UNSUPPORTED.items():
        if getattr(asked, name) not in (None, False):
            raise UnsupportedParameter(f"`{name}` is not supported. {instead}", param=name)
    if asked.truncation not in (None, "disabled"):
        raise UnsupportedParameter(
            "Parley leaves nothing out of a conversation: `truncation` is `disabled`.",
            param="truncation",
        )
    if asked.stream_options is not None and not asked.stream:
        raise InvalidRequest("`stream_options` needs `stream: true`.", param="stream_options")
    for wanted in asked.include or ():
        if wanted not in INCLUDABLE:
            raise UnsupportedParameter(f"Parley cannot include `{wanted}`.", param="include")
