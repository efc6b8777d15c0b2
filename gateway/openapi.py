"""What `/v1` takes and gives, one entry an address: the OpenAPI document is made of this list.

The types are the ones that requests are read into and answers written from, so that the document
cannot say anything else than the code does.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from billing.tags import LONGEST_TAG, MOST_TAGS
from gateway import encoding, openapi_types, wire
from gateway.batches.wire import BatchRequest
from gateway.embeddings.wire import EmbeddingRequest
from gateway.extensions import Task
from gateway.idempotency import asking
from gateway.messages import answer as messages_answer
from gateway.messages import wire as messages_wire
from gateway.openapi_types import AnthropicError, OpenAIError
from gateway.paging import FilePage, Page
from gateway.responses.answer import Response
from gateway.responses.wire import CreateResponse

TAG = f"[A-Za-z0-9_.:-]{{1,{LONGEST_TAG}}}"
TagsHeader = Annotated[str, Meta(pattern=f"^({TAG}( *, *{TAG}){{0,{MOST_TAGS - 1}}})?$")]
KeyOfKept = Annotated[str, Meta(pattern=f"^{asking.KEY.pattern}$")]
# An empty header counts as none.
IdempotencyKey = Annotated[str, Meta(pattern=f"^({asking.KEY.pattern})?$")]
EventNumber = Annotated[str, Meta(pattern=f"^({asking.NUMBER.pattern})?$")]
FileId = Annotated[str, Meta(pattern="^file-[0-9a-f]{32}$")]
BatchId = Annotated[str, Meta(pattern="^batch_[0-9a-f]{32}$")]


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


def of_page(page: type[Page] | type[FilePage], name: str, description: str) -> Parameter:
    """Return what the address says of a page, as it is read."""
    [field] = [one for one in msgspec.structs.fields(page) if one.name == name]
    return Parameter(name=name, place="query", description=description, type=field.type)


TAGS = Parameter(
    name="X-Parley-Tags",
    place="header",
    description="Tags of the call, separated by commas.",
    type=TagsHeader,
)
TASK = Parameter(
    name="X-Parley-Task",
    place="header",
    description="What the call is for: routes may look at it.",
    type=Task,
)
ONCE = Parameter(
    name="Idempotency-Key",
    place="header",
    description="Of your own making: who repeats the request gets the same answer again.",
    type=IdempotencyKey,
)
AFTER_EVENT = Parameter(
    name="Last-Event-ID",
    place="header",
    description="With `Idempotency-Key`: the stream goes on after this event.",
    type=EventNumber,
)
CALL = (TAGS, TASK, ONCE, AFTER_EVENT)


def after(ids: Any) -> Parameter:
    """Return the parameter that says where a page begins."""
    described = "The id that the page follows."
    return Parameter(name="after", place="query", description=described, type=ids)


BATCH_PAGE = (of_page(Page, "limit", "How many at most."), after(BatchId))
FILE_PAGE = (
    of_page(FilePage, "limit", "How many at most."),
    of_page(FilePage, "order", "Newest first, or oldest first (`asc`)."),
    Parameter(name="purpose", place="query", description="Only files of this purpose."),
    after(FileId),
)
FILE = Parameter(name="file_id", place="path", description="The file's id.", required=True)
RESPONSE = Parameter(
    name="response_id", place="path", description="The response's id.", required=True
)
BATCH = Parameter(name="batch_id", place="path", description="The batch's id.", required=True)

ASKED: list[Operation] = [
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
        summary="Ask a model; OpenAI's responses, which are kept for a while.",
        scope="chat",
        request=CreateResponse,
        answer=Response,
        event=dict[str, Any],
        parameters=CALL,
    ),
    Operation(
        method="get",
        path="/v1/responses/{response_id}",
        name="retrieve_response",
        tag="chat",
        summary="Look at a response that is kept.",
        scope="chat",
        answer=Response,
        parameters=(RESPONSE,),
    ),
    Operation(
        method="delete",
        path="/v1/responses/{response_id}",
        name="delete_response",
        tag="chat",
        summary="Forget a response.",
        scope="chat",
        answer=openapi_types.ResponseDeleted,
        parameters=(RESPONSE,),
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
        answer=openapi_types.TokenCount,
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
        answer=openapi_types.EmbeddingPage,
        parameters=CALL,
    ),
    Operation(
        method="get",
        path="/v1/models",
        name="list_models",
        tag="models",
        summary="List the names that this key may ask for; in Anthropic's form for its clients.",
        scope="models",
        answer=openapi_types.ModelPage,
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
    Operation(
        method="get",
        path="/v1/files",
        name="list_files",
        tag="files",
        summary="List one's files.",
        scope="batches",
        answer=openapi_types.FilePageObject,
        parameters=FILE_PAGE,
    ),
    Operation(
        method="post",
        path="/v1/files",
        name="upload_file",
        tag="files",
        summary="Upload the requests of a batch, one a line.",
        scope="batches",
        request=openapi_types.FileForm,
        request_media="multipart/form-data",
        answer=openapi_types.FileObject,
    ),
    Operation(
        method="get",
        path="/v1/files/{file_id}",
        name="retrieve_file",
        tag="files",
        summary="Look at a file.",
        scope="batches",
        answer=openapi_types.FileObject,
        parameters=(FILE,),
    ),
    Operation(
        method="delete",
        path="/v1/files/{file_id}",
        name="delete_file",
        tag="files",
        summary="Delete a file.",
        scope="batches",
        answer=openapi_types.FileDeleted,
        parameters=(FILE,),
    ),
    Operation(
        method="get",
        path="/v1/files/{file_id}/content",
        name="download_file",
        tag="files",
        summary="Fetch what is in a file.",
        scope="batches",
        answer_media="application/octet-stream",
        parameters=(FILE,),
    ),
    Operation(
        method="get",
        path="/v1/batches",
        name="list_batches",
        tag="batches",
        summary="List one's batches.",
        scope="batches",
        answer=openapi_types.BatchPageObject,
        parameters=BATCH_PAGE,
    ),
    Operation(
        method="post",
        path="/v1/batches",
        name="create_batch",
        tag="batches",
        summary="Have the requests of a file answered, at leisure.",
        scope="batches",
        request=BatchRequest,
        answer=openapi_types.BatchObject,
        parameters=(TAGS, ONCE),
    ),
    Operation(
        method="get",
        path="/v1/batches/{batch_id}",
        name="retrieve_batch",
        tag="batches",
        summary="Look at a batch.",
        scope="batches",
        answer=openapi_types.BatchObject,
        parameters=(BATCH,),
    ),
    Operation(
        method="post",
        path="/v1/batches/{batch_id}/cancel",
        name="cancel_batch",
        tag="batches",
        summary="End a batch; what is answered stays.",
        scope="batches",
        answer=openapi_types.BatchObject,
        parameters=(BATCH,),
    ),
]


def kept(call: Operation) -> Operation:
    """Return how the answer to a call is read again, by its `Idempotency-Key` alone."""
    return replace(
        call,
        method="get",
        name=f"read_{call.name.removeprefix('create_')}_again",
        summary="Read the answer again that is kept under an `Idempotency-Key`.",
        request=None,
        parameters=(replace(ONCE, type=KeyOfKept, required=True), AFTER_EVENT),
    )


OPERATIONS: list[Operation] = [
    *ASKED,
    *(kept(one) for one in ASKED if AFTER_EVENT in one.parameters),
]
