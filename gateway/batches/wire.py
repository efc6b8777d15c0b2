"""A batch on OpenAI's wire: what makes one, and how it is shown."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from core.errors import InvalidRequest
from gateway import public_ids, validation
from gateway.errors import UnsupportedParameter
from gateway.models import BatchState, Endpoint

MOST_PAIRS = 16
# `parse` refuses a zero character in words of its own; here it is said for the schema.
NO_ZERO = {"pattern": r"^[^\x00]*$"}
Key = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema=NO_ZERO)]
Value = Annotated[str, Meta(max_length=512, extra_json_schema=NO_ZERO)]
UNSUPPORTED = {"output_expires_after": "Results are kept as long as all files."}

# How OpenAI calls the states that have another name here.
STATES = {
    BatchState.WAITING: "in_progress",
    BatchState.RUNNING: "in_progress",
    BatchState.FINISHED: "completed",
}
# Whose moment of the end is told under which name.
ENDS = {
    BatchState.FINISHED: "completed_at",
    BatchState.FAILED: "failed_at",
    BatchState.EXPIRED: "expired_at",
    BatchState.CANCELLED: "cancelled_at",
}


class BatchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """OpenAI's request for a batch."""

    input_file_id: Annotated[str, Meta(max_length=200)]
    endpoint: Annotated[str, Meta(extra_json_schema={"enum": Endpoint.values})]
    completion_window: Literal["24h"]
    metadata: Annotated[dict[Key, Value], Meta(max_length=MOST_PAIRS)] | None = None


_decoder = msgspec.json.Decoder(BatchRequest)


def parse(body: bytes) -> BatchRequest:
    """Return the request in `body`, or raise an error that names the field."""
    asked = validation.decode(_decoder, body, unsupported=UNSUPPORTED)
    if asked.endpoint not in Endpoint.values:
        known = " or ".join(f"`{one}`" for one in Endpoint.values)
        raise UnsupportedParameter(f"`endpoint` must be {known}.", param="endpoint")
    if "\0" in "".join(f"{key}{value}" for key, value in (asked.metadata or {}).items()):
        raise InvalidRequest("`metadata` has a zero character.", param="metadata")
    return asked


def shown(batch: Any) -> dict[str, Any]:
    """Return a batch, with its counts, as OpenAI has it."""
    ends = dict.fromkeys(ENDS.values())
    if batch.state in ENDS:
        ends[ENDS[batch.state]] = _moment(batch.finished_at)
    return {
        "id": public_ids.shown("batch_", batch.public_id),
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        "input_file_id": _file(batch.input_file_id),
        "completion_window": "24h",
        "status": STATES.get(batch.state, batch.state),
        "output_file_id": _file(batch.output_file_id),
        "error_file_id": _file(batch.error_file_id),
        "created_at": _moment(batch.created_at),
        "in_progress_at": _moment(batch.started_at),
        "expires_at": _moment(batch.expires_at),
        "finalizing_at": _moment(batch.finalizing_at),
        "cancelling_at": _moment(batch.cancelling_at),
        **ends,
        "request_counts": batch.counts or _counts(batch),
        "metadata": batch.metadata or None,
    }


def _counts(batch: Any) -> dict[str, int]:
    return {
        "total": batch.line_count,
        "completed": batch.done_count - batch.failed_count,
        "failed": batch.failed_count,
    }


def _file(key: UUID | None) -> str | None:
    return public_ids.shown("file-", key) if key else None


def _moment(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None
