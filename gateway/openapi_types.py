"""Answers that the code writes without a type of their own, as the OpenAPI document has them."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gateway import encoding
from gateway.embeddings.wire import Usage


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


class FileObject(Struct, tag="file", tag_field="object"):
    id: str
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"]
    status_details: None


class FilePageObject(Struct, tag="list", tag_field="object"):
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileForm(Struct, forbid_unknown_fields=True):
    """The form of an upload; `file` is JSON Lines."""

    file: Annotated[str, Meta(extra_json_schema={"format": "binary"})]
    purpose: Literal["batch"]
    expires_after_anchor: Literal["created_at"] | UnsetType = field(
        default=UNSET, name="expires_after[anchor]"
    )
    expires_after_seconds: Annotated[int, Meta(ge=3600, le=2_592_000)] | UnsetType = field(
        default=UNSET, name="expires_after[seconds]"
    )


class FileDeleted(Struct, tag="file", tag_field="object"):
    id: str
    deleted: bool


class ResponseDeleted(Struct, tag="response", tag_field="object"):
    id: str
    deleted: bool


class BatchCounts(Struct):
    total: int
    completed: int
    failed: int


class BatchErrors(Struct, tag="list", tag_field="object"):
    data: list[dict[str, Any]]


class BatchObject(Struct, tag="batch", tag_field="object"):
    id: str
    endpoint: str
    errors: BatchErrors | None
    input_file_id: str | None
    completion_window: Literal["24h"]
    status: str
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int | None
    finalizing_at: int | None
    cancelling_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelled_at: int | None
    request_counts: BatchCounts
    metadata: dict[str, str] | None


class BatchPageObject(Struct, tag="list", tag_field="object"):
    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
