"""One version and model answering: what comes is shown as it comes, and its end is told once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from accounts.principal import Principal
from core.database import in_thread
from core.durations import milliseconds_since
from core.errors import AppError, DependencyDown
from llm import service
from llm.types import Call, ChatRequest, Delta, Event, Finished, FinishReason, Started
from prompts.playground import events
from prompts.playground.costs import NOTHING, Took, took
from prompts.playground.events import Ended, Kind, State
from prompts.playground.questions import Question, call_of

logger = structlog.get_logger(__name__)

Show = Callable[[events.Event], Awaitable[None]]

PACE = 0.04  # seconds between two deltas of a column
BROKEN = "Something went wrong here. Parley's log says why."
ENDINGS: dict[FinishReason, tuple[State, str]] = {
    "stop": ("done", ""),
    "tool_calls": ("done", ""),
    "length": ("done", "The answer has reached the most tokens that are allowed."),
    "content_filter": ("failed", "The provider's content filter ended the answer."),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an answer has ended; without `took`, the books know what it took."""

    state: State
    message: str = ""
    took: Took | None = None


STOPPED = Outcome("stopped")


class Column:
    """An answer in the making. `show` gets what is to be seen of it, but for its end."""

    def __init__(self, question: Question, principal: Principal, show: Show, ip: str = "") -> None:
        self.question = question
        self.took = NOTHING  # known when it has ended
        self._principal, self._show, self._ip = principal, show, ip
        self._stopped = asyncio.Event()
        self._news = asyncio.Event()
        self._is_over = False
        self._waiting: list[tuple[Kind, str]] = []  # to be shown
        self._request_id = ""
        self._began_at = time.monotonic()
        self._ttft_ms: int | None = None
        self._has_spoken = False

    def stop(self) -> None:
        """End the answer where it is."""
        self._stopped.set()

    async def run(self) -> Ended:
        """Answer until the end or the stop; return what came of it when all has been shown."""
        self._began_at = time.monotonic()
        telling = asyncio.create_task(self._tell())
        try:
            outcome = await self._ask_until_stopped()
            duration_ms = milliseconds_since(self._began_at)
        finally:
            self._is_over = True
            self._news.set()
            await telling
        try:
            self.took = outcome.took or await self._booked()
        except DependencyDown as error:
            outcome, self.took = Outcome("failed", error.message), Took()
        return self._end(outcome, duration_ms)

    async def _ask_until_stopped(self) -> Outcome:
        asking = asyncio.create_task(self._ask())
        stopped = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({asking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, stopped):
                task.cancel()
            await asyncio.gather(asking, stopped, return_exceptions=True)
        return STOPPED if asking.cancelled() else asking.result()

    async def _ask(self) -> Outcome:
        try:
            request, call = await call_of(self.question, self._principal, self._ip)
            return await self._answer(request, call)
        except AppError as error:
            return Outcome("failed", error.message)
        except Exception:  # the edge of a task: its column says that it failed
            logger.exception("prompts.playground_failed", request_id=self._request_id)
            return Outcome("failed", BROKEN)

    async def _answer(self, request: ChatRequest, call: Call) -> Outcome:
        self._request_id = call.request_id
        finished: Finished | None = None
        async with aclosing(service.stream(request, call)) as answer:
            async for event in answer:
                if isinstance(event, Finished):
                    finished = event
                else:
                    await self._note(event)
        if finished is None:
            return Outcome("failed", BROKEN)
        state, message = ENDINGS[finished.finish_reason]
        if not self._has_spoken and not message:
            message = "The model ended without an answer."
        return Outcome(state, message, Took.of(finished))

    async def _note(self, event: Event) -> None:
        if isinstance(event, Started):
            place = self.question.place
            await self._show(events.Started(place, event.provider, event.model))
        elif isinstance(event, Delta) and (pieces := _pieces(event)):
            await self._note_first()
            for kind, text in pieces:
                self._add(kind, text)

    async def _note_first(self) -> None:
        if self._ttft_ms is None:
            self._ttft_ms = milliseconds_since(self._began_at)
            await self._show(events.Spoke(self.question.place, self._ttft_ms))

    def _add(self, kind: Kind, text: str) -> None:
        self._has_spoken = self._has_spoken or (kind != "thought" and not text.isspace())
        if self._waiting and self._waiting[-1][0] == kind:
            text = self._waiting.pop()[1] + text
        self._waiting.append((kind, text))
        self._news.set()

    async def _tell(self) -> None:
        """Show what has come, some of it at a time: a page cannot draw each token by itself."""
        while not self._is_over or self._waiting:
            await self._news.wait()
            self._news.clear()
            waiting, self._waiting = self._waiting, []
            for kind, text in waiting:
                await self._show(events.Delta(self.question.place, kind, text))
            if not self._is_over:
                await asyncio.sleep(PACE)

    async def _booked(self) -> Took:
        if not self._request_id:
            return NOTHING
        return await in_thread(took, self._request_id, self._principal)

    def _end(self, outcome: Outcome, duration_ms: int) -> Ended:
        return Ended(
            column=self.question.place,
            state=outcome.state,
            message=outcome.message,
            ttft_ms=self._ttft_ms,
            duration_ms=duration_ms,
            input_tokens=self.took.input_tokens,
            output_tokens=self.took.output_tokens,
            cost=self.took.cost,
            is_estimated=self.took.is_estimated,
        )


def _pieces(delta: Delta) -> list[tuple[Kind, str]]:
    """Return what there is to see in a delta: of a call its name, and then its arguments."""
    calls = "".join(
        f"\n{call.name or ''} {call.arguments}" if call.name else call.arguments
        for call in delta.tool_calls
    )
    found: list[tuple[Kind, str]] = [("thought", delta.reasoning), ("text", delta.text)]
    return [(kind, text) for kind, text in (*found, ("tool", calls)) if text]
