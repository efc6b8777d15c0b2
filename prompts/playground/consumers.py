"""The socket of the playground: runs and stops in, what the columns say out."""

import asyncio
from contextlib import suppress

import structlog

from accounts.principal import Principal
from accounts.sockets import SignedOut, VersionedConsumer, user_on
from core import address
from core.database import in_thread
from core.errors import AppError, NotFound, PermissionDenied
from llm import service
from prompts.admin.playground_forms import read
from prompts.models import Prompt
from prompts.playground import costs, events
from prompts.playground.columns import Column
from prompts.playground.events import Run, Stop
from prompts.playground.questions import PERMISSION, Question, payer

logger = structlog.get_logger(__name__)


class AlreadyRunning(AppError):
    """The columns of the run before are still answering."""

    code = "already_running"
    http_status = 409


class PlaygroundConsumer(VersionedConsumer):
    """Lets up to four columns answer side by side; whoever leaves stops them."""

    version = events.VERSION

    def __init__(self) -> None:
        super().__init__()
        self._columns: dict[int, Column] = {}  # that still answer
        self._run: asyncio.Task[None] | None = None  # held here: the loop alone would forget it

    async def opened(self) -> None:
        """Refuse whoever may not spend here."""
        self._prompt_id: int = self.scope["url_route"]["kwargs"]["prompt_id"]
        try:
            await in_thread(self._check_access)
        except AppError as error:
            await self._refuse(error)

    async def disconnect(self, code: int) -> None:
        """Stop what still answers: nobody would read it."""
        self._stop(Stop())
        if self._run is not None:
            await asyncio.wait({self._run})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one command; the columns answer in tasks of their own, so that a stop arrives."""
        try:
            match events.decode_command(text_data or bytes_data or b""):
                case Run(form):
                    await self._start(form)
                case Stop() as stop:
                    self._stop(stop)
        except SignedOut as error:
            await self._refuse(error)
        except AppError as error:
            await self._show(events.Error(error.code, error.message))

    async def _start(self, form: str) -> None:
        if self._columns:
            raise AlreadyRunning("The columns still answer. Stop them first.")
        prompt, principal = await in_thread(self._check_access)
        offers = await service.models(principal)
        questions = await in_thread(read, form, prompt, offers)
        self._columns = {one.place: self._column(one, principal) for one in questions}
        await self._show(events.Running([*self._columns]))
        self._run = asyncio.create_task(self._follow([*self._columns.values()]))

    def _column(self, question: Question, principal: Principal) -> Column:
        return Column(question, principal, self._show, address.of_scope(self.scope))

    def _stop(self, stop: Stop) -> None:
        for place, column in self._columns.items():
            if stop.column in (None, place):
                column.stop()

    async def _follow(self, columns: list[Column]) -> None:
        """Let the columns answer; then tell what they took together."""
        ends = await asyncio.gather(*map(self._answer, columns), return_exceptions=True)
        self._columns = {}
        failures = [end for end in ends if isinstance(end, Exception)]
        for failure in failures:  # the page is gone, or we have made a mistake
            logger.error("prompts.playground_not_shown", exc_info=failure)
        if not failures:
            await self._show(costs.total(column.took for column in columns))

    async def _answer(self, column: Column) -> None:
        await self._show(await column.run())

    async def _show(self, event: events.Event) -> None:
        # The server raises it where nobody is there any more; `disconnect` stops the columns.
        with suppress(OSError):
            await self.send(text_data=events.encode(event))

    async def _refuse(self, error: AppError) -> None:
        await self._show(events.Error(error.code, error.message))
        await self.close_for(error)

    def _check_access(self) -> tuple[Prompt, Principal]:
        """Return the prompt and who pays: the session may have ended since the last command."""
        user = user_on(self.scope)
        if not (user.is_staff and user.has_perms(["prompts.view_prompt", PERMISSION])):
            raise PermissionDenied("The playground is for staff who may write versions.")
        prompt = Prompt.objects.select_related("organization").filter(pk=self._prompt_id).first()
        if prompt is None:
            raise NotFound("There is no such prompt.")
        return prompt, payer(user, prompt)
