"""An answer in the making: a task of this process that no connection owns."""

import asyncio
import contextvars
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import structlog

import llm.service
from chat import context, events, services, wakes
from chat.models import Message, Status
from chat.writer import Writer
from core.database import in_thread
from core.errors import AppError, DependencyDown
from llm.types import Call, Delta, Event, Finished, FinishReason, Started

logger = structlog.get_logger(__name__)

SAVE_SECONDS = 1.5  # between two saves of the row; each is also a sign of life
OUTAGE_SECONDS = 1.0  # between two attempts to save the end
SHUT_DOWN_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an answer has ended, and what the person is told about it."""

    status: Status
    code: str = ""
    message: str = ""


COMPLETE = Outcome(Status.COMPLETE)
STOPPED = Outcome(Status.STOPPED, "stopped", "You stopped this answer.")
INTERRUPTED = Outcome(Status.INTERRUPTED, services.INTERRUPTED_CODE, services.INTERRUPTED_MESSAGE)
BROKEN = Outcome(Status.FAILED, "internal_error", "Something went wrong here. Please try again.")
EMPTY = Outcome(Status.FAILED, "empty_answer", "The model ended without an answer.")
BY_FINISH_REASON: dict[FinishReason, Outcome] = {
    "stop": COMPLETE,
    "tool_calls": COMPLETE,
    "length": Outcome(
        Status.LIMITED, "length", "The answer has reached the longest length that is allowed."
    ),
    "content_filter": Outcome(
        Status.FAILED, "content_filtered", "The provider's content filter ended the answer."
    ),
}
LIMITS = {402, 429}  # HTTP statuses of a budget and of a rate


class _Running(NamedTuple):
    generation: "Generation"
    task: asyncio.Task[None]  # held here: the event loop alone would forget it


_running: dict[UUID, _Running] = {}


async def start(turn: services.Turn, ip: str = "", locale: str = "") -> None:
    """Begin to write the answer of a new turn, whoever comes and goes, and tell all windows.

    `ip` is the address that asked, for the limits, and `locale` the language of the prompt.
    """
    if not turn.is_new:
        return
    answer = turn.answer
    generation = Generation(answer, ip, locale)
    # A context of its own: nothing of the request that asked may reach into its later life.
    task = asyncio.get_running_loop().create_task(generation.run(), context=contextvars.Context())
    _running[answer] = _Running(generation, task)
    task.add_done_callback(lambda _: _running.pop(answer, None))
    await wakes.wake(wakes.conversation(turn.conversation))


async def stop(answer: UUID) -> None:
    """Tell the process that writes the answer, whichever it is, that a stop is asked for."""
    await wakes.wake(wakes.stop(answer))


async def shut_down() -> None:
    """End what this process is writing as interrupted, with its text saved."""
    running = list(_running.values())
    for generation, _ in running:
        generation.end(INTERRUPTED)
    if running:
        await asyncio.wait([task for _, task in running], timeout=SHUT_DOWN_SECONDS)
    await wakes.close()


class Generation:
    """Asks a model and writes down what it says, until one of five ends."""

    def __init__(self, answer: UUID, ip: str, locale: str) -> None:
        self._answer = answer
        self._ip = ip
        self._locale = locale
        self._writer = Writer(answer)
        self._ended = asyncio.Event()
        self._outcome = STOPPED
        self._started: Started | None = None
        self._call: Call | None = None
        self._has_spoken = False

    def end(self, outcome: Outcome) -> None:
        """End the answer where it is."""
        self._outcome = outcome
        self._ended.set()

    async def run(self) -> None:
        """Write the answer, and give it an honest end whatever happens."""
        structlog.contextvars.bind_contextvars(request_id=self._answer.hex)
        try:
            outcome = await self._speak()
            await self._finish(outcome, await self._writer.finish())
        except Message.DoesNotExist:
            logger.info("chat.generation_without_message")  # it was deleted meanwhile
        except Exception:  # the edge of a task that nobody awaits
            logger.exception("chat.generation_broken")
            await self._finish(BROKEN, "")

    async def _speak(self) -> Outcome:
        """Let the model speak until it has ended, or has been told to."""
        asking = asyncio.create_task(self._ask())
        others = [
            asyncio.create_task(self._writer.run()),
            asyncio.create_task(self._hear_stop()),
            asyncio.create_task(self._save_regularly()),
        ]
        ended = asyncio.create_task(self._ended.wait())
        try:
            await asyncio.wait({asking, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, ended, *others):
                task.cancel()
            await asyncio.gather(asking, ended, *others, return_exceptions=True)
        return self._outcome if asking.cancelled() else asking.result()

    async def _ask(self) -> Outcome:
        try:
            known = await in_thread(context.load, self._answer, self._ip, self._locale)
            request, self._call = await context.request_for(known)
            finished = None
            async with aclosing(llm.service.stream(request, self._call)) as answer:
                async for event in answer:
                    finished = self._note(event)
        except AppError as error:
            status = Status.LIMITED if error.http_status in LIMITS else Status.FAILED
            return Outcome(status, error.code, error.message)
        outcome = BY_FINISH_REASON[finished.finish_reason] if finished else COMPLETE
        return EMPTY if outcome is COMPLETE and not self._has_spoken else outcome

    def _note(self, event: Event) -> Finished | None:
        if isinstance(event, Started):
            self._started = event
        elif isinstance(event, Delta) and event.text:
            self._writer.add(event.text)
            self._has_spoken = self._has_spoken or not event.text.isspace()
        return event if isinstance(event, Finished) else None

    async def _hear_stop(self) -> None:
        async with wakes.watch(wakes.stop(self._answer)) as told:
            await told.wait()
            self.end(STOPPED)

    async def _save_regularly(self) -> None:
        """Save text and cursor together; the row also says whether a stop was asked for."""
        while True:
            try:
                is_stop_asked = await in_thread(
                    services.save_progress,
                    message_id=self._answer,
                    text=self._writer.text,
                    finished=self._writer.finished,
                    cursor=self._writer.cursor,
                )
            except DependencyDown:
                logger.warning("chat.progress_not_saved")
            else:
                if is_stop_asked:
                    self.end(STOPPED)
            await asyncio.sleep(SAVE_SECONDS)

    async def _finish(self, outcome: Outcome, html: str) -> None:
        """Save the end, then tell the viewers: what they see as the end is true."""
        message = await self._save_end(self._ending(outcome, html))
        await self._writer.append(*events.end_of(message))
        logger.info("chat.generation_ended", status=outcome.status, code=outcome.code)

    def _ending(self, outcome: Outcome, html: str) -> services.Ending:
        prompt = self._call.prompt if self._call else None
        return services.Ending(
            status=outcome.status,
            text=self._writer.text,
            html=html,
            cursor=self._writer.cursor,
            error_code=outcome.code,
            error_message=outcome.message,
            model_served=self._started.model if self._started else "",
            prompt_name=prompt.name if prompt else "",
            prompt_version=prompt.version if prompt else None,
            usage_id=self._started.usage_id if self._started else None,
        )

    async def _save_end(self, ending: services.Ending) -> Message:
        while True:
            try:
                return await in_thread(services.finish, message_id=self._answer, ending=ending)
            except DependencyDown:
                logger.warning("chat.end_not_saved")
                await asyncio.sleep(OUTAGE_SECONDS)
