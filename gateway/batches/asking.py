"""One line of a batch: asked, waited for, and turned into its result, whatever comes of it."""

import asyncio
import time

import structlog

from core.errors import AppError, DependencyDown
from gateway.batches import endpoints, lines
from gateway.batches.lines import Line, Result
from gateway.errors import InternalError
from llm.errors import NoDeployment
from llm.limits import LimitExceeded
from llm.types import Call

logger = structlog.get_logger(__name__)

SURFACE = "batch"
PATIENCE = 600.0  # seconds that a line waits for room, where Parley itself says when to come back
NOT_YET = (LimitExceeded, DependencyDown, NoDeployment)  # nobody was asked, and nothing was paid


async def ask(line: Line, call: Call) -> Result:
    """Return the answer to a line, or why there is none; only being cancelled is raised."""
    try:
        body = await _when_there_is_room(line, call)
        return lines.answer(line.custom_id, call.request_id, body)
    except AppError as error:
        return lines.refusal(line.custom_id, call.request_id, error)
    except Exception:  # the edge: one line that we fail at must not end the batch
        logger.exception("gateway.batch_line_failed", request_id=call.request_id)
        return lines.refusal(line.custom_id, call.request_id, InternalError())


async def _when_there_is_room(line: Line, call: Call) -> bytes:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await endpoints.answer(line.url, bytes(line.body), call)
        except NOT_YET as error:
            if error.retry_after is None or time.monotonic() + error.retry_after > deadline:
                raise
            await asyncio.sleep(error.retry_after)
