"""What `/v1` takes and gives, one entry an address: the OpenAPI document is made of this list.

The types are the ones that requests are read into and answers written from, so that the document
cannot say anything else than the code does.
"""

from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from gateway import encoding, wire
from gateway.embeddings.wire import EmbeddingRequest, Usage
from gateway.messages import answer as messages_answer
from gateway.messages import wire as messages_wire
from gateway.responses.answer import Response
from gateway.responses.wire import CreateResponse


class ErrorFields(Struct, kw_only=True):
    """What went wrong. `code` is stable; `message` is for people."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(Struct):
    """A failure as OpenAI's clients read it."""

    error: ErrorFields


class AnthropicErrorFields(Struct):
    type: str
    message: str
    details: dict[str, Any]


class AnthropicError(Struct, tag="error", tag_field="type"):
    """A failure as Anthropic's client reads it."""

    error: AnthropicErrorFields
    request_id: str


class ModelPage(Struct, tag="list", tag_field="object"):
    data: list[encoding.Model]


class EmbeddingObject(Struct, tag="embedding", tag_field="object"):
    index: int
    embedding: list[float] | str  # base64 of numbers of 32 bits, lowest byte first


class EmbeddingPage(Struct, tag="list", tag_field="object"):
    data: list[EmbeddingObject]
    model: str
    usage: Usage


class TokenCount(Struct):
    input_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What stands in the address or in a header."""

    name: str
    place: Literal["path", "query", "header"]
    description: str
    type: Any = str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one address."""

    method: Literal["get", "post", "delete"]
    path: str
    name: str  # of the operation, for clients that are made from the document
    tag: str
    summary: str
    scope: str  # that a key needs, where it has scopes
    request: Any = None  # the type of the body; None: there is none
    request_media: str = "application/json"
    answer: Any = None  # the type of the answer; None: bytes
    answer_media: str = "application/json"
    event: Any = None  # the type of a server-sent event, where the answer can be streamed
    parameters: tuple[Parameter, ...] = ()
    error: Any = OpenAIError


TAGS = Parameter(
    name="X-Parley-Tags", place="header", description="Tags of the call, separated by commas."
)
TASK = Parameter(
    name="X-Parley-Task", place="header", description="What the call is for: routes may look at it."
)
CALL = (TAGS, TASK)

OPERATIONS: list[Operation] = [
    Operation(
        method="post",
        path="/v1/chat/completions",
        name="create_chat_completion",
        tag="chat",
        summary="Ask a model; OpenAI's chat completions.",
        scope="chat",
        request=wire.Completion,
        answer=encoding.Whole,
        event=encoding.Chunk,
        parameters=CALL,
    ),
    Operation(
        method="post",
        path="/v1/responses",
        name="create_response",
        tag="chat",
        summary="Ask a model; OpenAI's responses, of which none is kept.",
        scope="chat",
        request=CreateResponse,
        answer=Response,
        event=dict[str, Any],
        parameters=CALL,
    ),
    Operation(
        method="post",
        path="/v1/messages",
        name="create_message",
        tag="chat",
        summary="Ask a model; Anthropic's messages, for any model.",
        scope="chat",
        request=messages_wire.Asked,
        answer=messages_answer.WholeMessage,
        event=dict[str, Any],
        error=AnthropicError,
        parameters=CALL,
    ),
    Operation(
        method="post",
        path="/v1/messages/count_tokens",
        name="count_tokens",
        tag="chat",
        summary="Count the tokens of a message without asking a model.",
        scope="chat",
        request=messages_wire.Question,
        answer=TokenCount,
        error=AnthropicError,
    ),
    Operation(
        method="post",
        path="/v1/embeddings",
        name="create_embeddings",
        tag="embeddings",
        summary="Get vectors for texts.",
        scope="embeddings",
        request=EmbeddingRequest,
        answer=EmbeddingPage,
        parameters=CALL,
    ),
    Operation(
        method="get",
        path="/v1/models",
        name="list_models",
        tag="models",
        summary="List the names that this key may ask for.",
        scope="models",
        answer=ModelPage,
    ),
    Operation(
        method="get",
        path="/v1/models/{model}",
        name="retrieve_model",
        tag="models",
        summary="Look at one of them.",
        scope="models",
        answer=encoding.Model,
        parameters=(
            Parameter(
                name="model",
                place="path",
                description="The name that is asked for.",
                type=wire.Name,
                required=True,
            ),
        ),
    ),
]
