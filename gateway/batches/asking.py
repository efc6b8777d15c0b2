"""One line of a batch: asked, waited for, and turned into its result, whatever comes of it."""

import structlog

from core.errors import AppError
from gateway.batches import endpoints, lines
from gateway.batches.lines import Line, Result
from gateway.errors import InternalError
from llm.patience import when_there_is_room
from llm.types import Call

logger = structlog.get_logger(__name__)

SURFACE = "batch"


async def ask(line: Line, call: Call) -> Result:
    """Return the answer to a line, or why there is none; only being cancelled is raised."""
    try:
        body = await when_there_is_room(lambda: endpoints.answer(line.url, bytes(line.body), call))
        return lines.answer(line.custom_id, call.request_id, body)
    except AppError as error:
        return lines.refusal(line.custom_id, call.request_id, error)
    except Exception:  # the edge: one line that we fail at must not end the batch
        logger.exception("gateway.batch_line_failed", request_id=call.request_id)
        return lines.refusal(line.custom_id, call.request_id, InternalError())
