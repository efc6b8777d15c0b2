"""A model and our tools in turn, until there is an answer or a limit is reached."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal

import structlog
from msgspec import Struct
from msgspec.structs import replace

from core.durations import milliseconds_since
from core.errors import AppError, InvalidRequest
from llm.tools import functions
from llm.tools.calls import joined
from llm.tools.functions import ServerTool
from llm.types import (
    Call,
    ChatRequest,
    Delta,
    Event,
    Finished,
    Message,
    Stream,
    ToolCall,
    ToolCallDelta,
)

logger = structlog.get_logger(__name__)


class RunLimitReached(AppError):
    """The run was ended before the model gave its answer."""

    code = "run_limit_reached"
    http_status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimit:
    """When no further step is begun. A step is one answer of the model."""

    steps: int = 8
    seconds: float = 120.0  # for all steps and tools together
    cost_usd: Decimal | None = None  # spent by the steps so far; `None`: as the budgets allow


class ToolResult(Struct, frozen=True, kw_only=True):
    """What a tool gave back, between two answers of the model."""

    call: ToolCall
    result: str
    duration_ms: int


async def run(
    request: ChatRequest, call: Call, tools: Sequence[str], limit: RunLimit, stream: Stream
) -> AsyncGenerator[Event | ToolResult, None]:
    """Yield what `llm.service.run` promises, asking through `stream`."""
    ours = {name: _tool(name) for name in tools}
    progress = _Progress(limit)
    asked = replace(request, tools=(*request.tools, *(tool.definition for tool in ours.values())))
    while True:
        progress.begin_step()
        answer = _Answer()
        async with aclosing(stream(asked, call)) as events:
            async for event in events:
                answer.add(event)
                yield event
        progress.add(answer.finished)
        calls = joined(answer.tool_calls)
        # A call of the client's own tools is the client's to answer.
        if not calls or any(one.function.name not in ours for one in calls):
            return
        results = await asyncio.gather(
            *(_call(ours[one.function.name], one, call, progress) for one in calls)
        )
        for result in results:
            yield result
        asked = _continued(asked, answer, calls, results)


class _Progress:
    """How far a run has come, against its limit."""

    def __init__(self, limit: RunLimit) -> None:
        self._limit = limit
        self._ends_at = time.monotonic() + limit.seconds
        self._steps = 0
        self._cost_usd = Decimal(0)
        self._is_priced = True

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._ends_at - time.monotonic())

    def begin_step(self) -> None:
        limit = self._limit
        if self._steps >= limit.steps:
            raise RunLimitReached(f"The run has taken {limit.steps} steps without an answer.")
        if not self.seconds_left:
            raise RunLimitReached(f"The run has taken {limit.seconds:g} seconds.")
        if limit.cost_usd is not None and self._steps:
            self._check_cost(limit.cost_usd)
        self._steps += 1

    def add(self, finished: Finished | None) -> None:
        cost = finished.cost_usd if finished else None
        self._is_priced &= cost is not None
        self._cost_usd += cost or 0

    def _check_cost(self, most: Decimal) -> None:
        if not self._is_priced:
            raise RunLimitReached("The run has a limit on its cost, and the model has no price.")
        if self._cost_usd >= most:
            raise RunLimitReached(f"The run has cost ${self._cost_usd.normalize():f}.")


class _Answer:
    """One answer of the model, as it is to be told to it again."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.tool_calls: list[ToolCallDelta] = []
        self.finished: Finished | None = None

    def add(self, event: Event) -> None:
        if isinstance(event, Delta):
            self.text.append(event.text)
            self.tool_calls += event.tool_calls
        elif isinstance(event, Finished):
            self.finished = event


async def _call(tool: ServerTool, asked: ToolCall, call: Call, progress: _Progress) -> ToolResult:
    started_at = time.monotonic()
    result = await tool.call(asked.function.arguments, seconds=progress.seconds_left)
    duration_ms = milliseconds_since(started_at)
    logger.info("llm.tool", tool=tool.name, duration_ms=duration_ms, request_id=call.request_id)
    return ToolResult(call=asked, result=result, duration_ms=duration_ms)


def _continued(
    asked: ChatRequest,
    answer: _Answer,
    calls: tuple[ToolCall, ...],
    results: Sequence[ToolResult],
) -> ChatRequest:
    """Return the next question: what was said, what was called, what came of it."""
    said = Message("assistant", "".join(answer.text) or None, tool_calls=calls)
    told = [Message("tool", one.result, tool_call_id=one.call.id) for one in results]
    # A tool that the caller insists on has been called: insisting again would never end.
    choice = asked.tool_choice if asked.tool_choice == "none" else None
    return replace(asked, messages=(*asked.messages, said, *told), tool_choice=choice)


def _tool(name: str) -> ServerTool:
    try:
        return functions.registered(name)
    except KeyError:
        raise InvalidRequest(f"There is no tool `{name}`.", param="tools") from None
