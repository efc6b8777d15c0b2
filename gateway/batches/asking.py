"""One line of a batch: asked, waited for, and turned into its result, whatever comes of it."""

import asyncio
import time

import structlog

from accounts.principal import Principal
from core.errors import AppError, DependencyDown
from gateway.batches import lines
from gateway.batches.lines import Result
from gateway.errors import InternalError
from llm import service
from llm.errors import NoDeployment
from llm.limits import LimitExceeded
from llm.parallel import Whole, whole
from llm.types import Call, ChatRequest

logger = structlog.get_logger(__name__)

SURFACE = "batch"
PATIENCE = 600.0  # seconds that a line waits for room, where Parley itself says when to come back
NOT_YET = (LimitExceeded, DependencyDown, NoDeployment)  # nobody was asked, and nothing was paid


async def ask(custom_id: str, body: bytes, principal: Principal, request_id: str) -> Result:
    """Return the answer to a line, or why there is none; only being cancelled is raised."""
    call = Call(principal=principal, surface=SURFACE, request_id=request_id)
    try:
        answer = await _when_there_is_room(lines.request_of(body), call)
        return lines.answer(custom_id, request_id, answer)
    except AppError as error:
        return lines.refusal(custom_id, request_id, error)
    except Exception:  # the edge: one line that we fail at must not end the batch
        logger.exception("gateway.batch_line_failed", request_id=request_id)
        return lines.refusal(custom_id, request_id, InternalError())


async def _when_there_is_room(request: ChatRequest, call: Call) -> Whole:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await whole(service.stream(request, call))
        except NOT_YET as error:
            if error.retry_after is None or time.monotonic() + error.retry_after > deadline:
                raise
            await asyncio.sleep(error.retry_after)
