"""What is asked of a model and what comes back, whoever the vendor is.

Structs rather than dataclasses: `msgspec` decodes and validates a request body straight into them
(0.3 µs a chunk, against 54 µs for the vendor SDK's models).
"""

from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field

from accounts.principal import Principal
from billing.pricing import TokenUsage

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
CacheMode = Literal["on", "read", "write", "off"]


class ImageUrl(Struct, frozen=True, omit_defaults=True):
    url: str  # https: or data:
    detail: str | None = None


class TextPart(Struct, frozen=True, tag="text", tag_field="type"):
    text: str


class ImagePart(Struct, frozen=True, tag="image_url", tag_field="type"):
    image_url: ImageUrl


class FunctionCall(Struct, frozen=True):
    name: str
    arguments: str  # JSON, as the model wrote it


class ToolCall(Struct, frozen=True):
    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class Thought(Struct, frozen=True, omit_defaults=True):
    """A piece of a model's thinking; a signature ends it, and only unchanged is it good."""

    text: str = ""
    signature: str = ""
    hidden: str = ""  # what the vendor alone can read


class ForAnthropic(Struct, frozen=True, omit_defaults=True):
    """What a message has for Anthropic's models alone; other vendors are not sent it."""

    thoughts: tuple[Thought, ...] = ()  # of an answer, before what it says
    is_error: bool = False  # a tool's result says why there is none
    # By the number of the part that it is for: parts of the content, then the tool calls.
    cache_control: dict[int, dict[str, Any]] = field(default_factory=dict)


class Message(Struct, frozen=True, omit_defaults=True):
    role: Role
    content: str | tuple[TextPart | ImagePart, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None
    anthropic: ForAnthropic | None = None


class FunctionDefinition(Struct, frozen=True, omit_defaults=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None  # JSON schema
    strict: bool | None = None


class Tool(Struct, frozen=True):
    function: FunctionDefinition
    type: Literal["function"] = "function"
    anthropic: dict[str, Any] | UnsetType = UNSET  # further fields, for Anthropic's models alone


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One conversation to continue. `None` means: as the deployment has it."""

    model: str  # the alias or model asked for; routing turns it into deployments
    messages: tuple[Message, ...]
    stream: bool = True
    max_tokens: int | None = None  # of output
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    # Further parameters of OpenAI's API, passed on as they are to servers that speak it.
    extra: dict[str, Any] = field(default_factory=dict)
    # Parameters of Anthropic's API that are more than a hint: nobody else can answer.
    anthropic: dict[str, Any] = field(default_factory=dict)
    # Further ones, which all others do without.
    anthropic_hints: dict[str, Any] = field(default_factory=dict)


class CacheWish(Struct, frozen=True, kw_only=True):
    """What a caller wants of the cache; it narrows what the prompt and the key allow."""

    mode: CacheMode = "on"
    seconds: int | None = None  # to keep the answer at most
    max_age: int | None = None  # seconds; an older answer will not do
    only_if_cached: bool = False  # rather no answer than a new one


class RoutingWish(Struct, frozen=True, kw_only=True):
    """Who may answer, of those behind the name asked for: as `provider` or `provider/model`."""

    only: tuple[str, ...] = ()  # empty: all
    ignore: tuple[str, ...] = ()

    def allows(self, provider: str, model: str) -> bool:
        names = {provider, f"{provider}/{model}"}
        return not names.intersection(self.ignore) and (
            not self.only or not names.isdisjoint(self.only)
        )


class Presence(Struct):
    """Whether the caller is still there; the edge that serves it says so."""

    has_left: bool = False


class PromptCache(Struct, frozen=True, kw_only=True):
    """What staff have set for the answers to a prompt."""

    mode: CacheMode | None = None  # None: as for calls without a prompt
    seconds: int | None = None
    semantic_threshold: float | None = None  # None: only the very same question
    semantic_model: str = ""


class PromptUsed(Struct, frozen=True):
    """Which words were sent, for the usage record, and what may be done with the answer."""

    name: str
    version: int
    cache: PromptCache = PromptCache()
    experiment: str = ""  # that chose these words, with the arm that was drawn for the unit
    arm: str = ""
    unit: str = ""


class Call(Struct, frozen=True, kw_only=True):
    """Around a request: who pays, through which door, and what to remember of it."""

    principal: Principal
    surface: str  # "chat", "api"
    request_id: str
    prompt: PromptUsed | None = None
    cache: CacheWish = CacheWish()
    tags: tuple[str, ...] = ()  # by which the caller sorts what is spent
    task: str = ""  # what the answer is for ("classify", "extract"); a route may prefer by it
    ip: str = ""  # of the caller, where an edge knows it
    routing: RoutingWish = RoutingWish()
    presence: Presence = field(default_factory=Presence)


class RateLimit(Struct, frozen=True, kw_only=True):
    """The tightest limits that apply to a caller, and what is left of them; `None`: no limit."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: float | None = None  # seconds until one more fits
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: float | None = None


class ModelOffer(Struct, frozen=True, kw_only=True):
    """A name that can be asked for, and who answers to it first."""

    id: str
    provider: str
    model: str  # as the provider names it
    description: str
    created_at: datetime


# --- Events: what `llm.service.stream` yields, in this order: Started, Delta*, Finished -----------


class Started(Struct, frozen=True, kw_only=True):
    """A deployment has begun to answer; nothing can be retried from here on."""

    usage_id: UUID
    provider: str
    model: str  # the vendor's name of the model that answers
    is_cache_hit: bool = False
    cache_age: float | None = None  # seconds
    is_shared: bool = False  # a cache hit on an answer that is still in the making
    similarity: float | None = None  # of the question this answer was given to, if it is another
    rate_limit: RateLimit | None = None
    # Left on the hard budget that has least when the attempt was admitted, its worst case held;
    # None: no hard budget applies, nothing was held for this caller, or it is not known.
    room_usd: Decimal | None = None


class ToolCallDelta(Struct, frozen=True, omit_defaults=True):
    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Delta(Struct, frozen=True):
    """The next piece of the answer; a whole answer (`stream=False`) is one Delta.

    The last one may have no content but `raw`, the frame that closes the answer.
    """

    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    reasoning: str = ""  # the model's thinking aloud, where the vendor shows it; it is billed too
    # The same content in OpenAI's wire format as it arrived, where the vendor speaks it: complete
    # SSE frames without usage and `[DONE]`, or the body of a whole answer. Relayed as it is.
    raw: bytes | None = None
    # `reasoning` in pieces, where one of them is signed or hidden; else empty.
    thoughts: tuple[Thought, ...] = ()


class Finished(Struct, frozen=True, kw_only=True):
    """The true end: the attempt is settled and its cost is in the books."""

    finish_reason: FinishReason
    usage: TokenUsage
    is_estimated: bool
    cost_usd: Decimal | None  # None: the model has no price
    stop_sequence: str | None = None  # which one ended it, where the vendor says so
    room_usd: Decimal | None = None  # as in `Started`, with the true cost instead of the worst case


Event = Started | Delta | Finished
Stream = Callable[[ChatRequest, Call], AsyncGenerator[Event, None]]  # as `llm.service.stream` is


class KeptAnswer(Struct, frozen=True, kw_only=True):
    """A whole answer, as the cache stores it: for streams and for whole answers alike."""

    provider: str
    model: str
    delta: Delta
    is_streamed: bool  # whether `delta.raw` is frames of a stream or a whole body
    finish_reason: FinishReason
    usage: TokenUsage
    is_estimated: bool = False  # the usage is our own count
    cost_usd: Decimal | None  # what it cost when it was made
    kept_at: float  # seconds since the epoch
    stop_sequence: str | None = None


# --- What a provider yields: Delta*, then one End; it raises ProviderError ----------------------


class End(Struct, frozen=True, kw_only=True):
    """How the vendor ended its answer. `usage` is `None` where it did not report any."""

    finish_reason: FinishReason
    usage: TokenUsage | None = None
    model: str | None = None  # as the vendor names what it served
    service_tier: str = ""  # how it was served, which may have a price of its own; "": ordinary
    stop_sequence: str | None = None  # which one ended it
    # What closes the answer on OpenAI's wire (the frame with the finish reason). It is sent on as a
    # last Delta when the books are closed, so that nobody sees an end that is not paid for.
    raw: bytes | None = None
