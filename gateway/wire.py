"""The body of `/v1/chat/completions`, strictly typed: what is wrong is refused by its name."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from core.errors import InvalidRequest
from gateway import extensions
from gateway.errors import UnsupportedParameter
from gateway.extensions import Extensions
from gateway.validation import decode
from llm.types import (
    ChatRequest,
    FunctionDefinition,
    ImagePart,
    Message,
    Role,
    TextPart,
    Tool,
    ToolCall,
)

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
ServiceTier = Literal["auto", "default", "flex", "priority", "fast", "scale"]
Penalty = Annotated[float, Meta(ge=-2, le=2)]

MOST_ANSWERS = 8  # to one request
# Passed on as they are to vendors that speak OpenAI's API.
EXTRA = (
    *("frequency_penalty", "logit_bias", "logprobs", "metadata", "modalities"),
    *("parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key"),
    *("prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "safety_identifier"),
    *("service_tier", "store", "top_logprobs", "user", "verbosity"),
)
# OpenAI knows them; here they would be counted or priced wrongly.
UNSUPPORTED = {
    "audio": "Parley does not do audio here.",
    "function_call": "Use `tool_choice`.",
    "functions": "Use `tools`.",
    "moderation": "Parley does not pass this on.",
    "web_search_options": "Parley cannot price the vendor's web search.",
}


class StreamOptions(Struct, frozen=True, forbid_unknown_fields=True):
    include_usage: bool = False
    include_obfuscation: bool | None = None  # padding against observers of the wire; not needed


class SentMessage(Struct, frozen=True, kw_only=True):
    """A message as clients send it. What else an earlier answer has is passed over."""

    role: Role
    content: str | tuple[TextPart | ImagePart, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None  # an earlier answer may have been one

    def as_message(self) -> Message:
        """Return it as the layers below know it: a refusal is what was said."""
        if self.refusal is not None:
            return Message(role=self.role, content=self.content or self.refusal, name=self.name)
        return Message(
            role=self.role,
            content=self.content,
            name=self.name,
            tool_calls=self.tool_calls,
            tool_call_id=self.tool_call_id,
        )


class SentTool(Struct, frozen=True):
    """A function as clients offer it."""

    function: FunctionDefinition
    type: Literal["function"] = "function"

    def as_tool(self) -> Tool:
        """Return it as the layers below know it."""
        return Tool(self.function)


class Completion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's request. `None` (or null) is as good as absent."""

    model: Name = ""  # left out: the prompt's
    messages: tuple[SentMessage, ...] | None = None
    parley: Extensions | None = None  # not OpenAI's
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop: str | Annotated[tuple[str, ...], Meta(max_length=4)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    tools: tuple[SentTool, ...] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    n: Annotated[int, Meta(ge=1, extra_json_schema={"maximum": MOST_ANSWERS})] | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    metadata: dict[str, str] | None = None
    modalities: tuple[Literal["text"], ...] | None = None
    parallel_tool_calls: bool | None = None
    prediction: dict[str, Any] | None = None
    presence_penalty: Penalty | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    safety_identifier: str | None = None
    service_tier: ServiceTier | None = None
    store: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    user: str | None = None
    verbosity: str | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def answers(self) -> int:
        """How many are asked for."""
        return self.n or 1

    def as_request(self) -> ChatRequest:
        """Return the request as the layers below know it: for each answer, if there are several."""
        return ChatRequest(
            model=self.model,
            messages=tuple(map(SentMessage.as_message, self.messages or ())),
            stream=bool(self.stream),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            stop=(self.stop,) if isinstance(self.stop, str) else self.stop or (),
            seed=self.seed,
            tools=tuple(map(SentTool.as_tool, self.tools or ())),
            tool_choice=self.tool_choice,
            response_format=self.response_format,
            extra=self._extra(),
        )

    def _extra(self) -> dict[str, Any]:
        extra = {name: value for name in EXTRA if (value := getattr(self, name)) is not None}
        if self.service_tier is not None:
            extra["service_tier"] = as_known(self.service_tier)
        return extra


def as_known(tier: ServiceTier) -> ServiceTier:
    """Return the tier by the name that most servers know."""
    return "priority" if tier == "fast" else tier  # OpenAI's newer name, and always answered so


_decoder = msgspec.json.Decoder(Completion)


def parse(body: bytes, *, most_answers: int = 1) -> Completion:
    """Return the request in `body`, or raise an error that names the field.

    Whoever can give several answers (`Completion.answers`) says how many.
    """
    completion = decode(_decoder, body, unsupported=UNSUPPORTED)
    if completion.answers > most_answers:
        raise UnsupportedParameter(f"`n` is at most {most_answers} here.", param="n")
    _check(completion)
    return completion


def _check(completion: Completion) -> None:
    if completion.answers > 1 and completion.logprobs:
        raise UnsupportedParameter(
            "`logprobs` are those of one answer: `n` must be 1.", param="logprobs"
        )
    if completion.stream_options is not None and not completion.stream:
        raise InvalidRequest("`stream_options` needs `stream: true`.", param="stream_options")
    extensions.check(completion.parley, completion.model)
    if not completion.messages and not (completion.parley and completion.parley.prompt):
        raise InvalidRequest("`messages` is missing or empty.", param="messages")
    for index, message in enumerate(completion.messages or ()):
        if message.role == "tool" and not message.tool_call_id:
            param = f"messages[{index}].tool_call_id"
            raise InvalidRequest(f"`{param}` is missing: which call does it answer?", param=param)
        is_answer = message.role == "assistant" and (message.tool_calls or message.refusal)
        if message.content is None and not is_answer:
            param = f"messages[{index}].content"
            raise InvalidRequest(f"`{param}` is missing.", param=param)
