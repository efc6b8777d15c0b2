"""The socket of one conversation: commands in, events out (`docs/websocket.md`)."""

import asyncio
import time
from contextlib import aclosing
from uuid import UUID

import structlog

from accounts.principal import Principal
from accounts.services import principal_for
from accounts.sockets import INTERNAL_ERROR, SignedOut, VersionedConsumer, user_on
from chat import events, generation, services
from chat.events import Command, Send, Stop, Subscribe
from chat.models import Conversation, Message
from chat.reader import follow
from core import address, language
from core.database import in_thread
from core.errors import AppError, DependencyDown, NotFound

logger = structlog.get_logger(__name__)

CHECK_SECONDS = 10.0  # after which it is asked again whether who watches may


class ChatConsumer(VersionedConsumer):
    """Shows a conversation as it grows, and takes questions and stops."""

    # Content is read from the log, and wake-ups come through `chat.wakes`: one subscription for
    # all viewers of this process.
    version = events.VERSION

    _viewer: asyncio.Task[None] | None = None

    async def opened(self) -> None:
        """Refuse whoever may not see the conversation."""
        self._conversation: UUID = self.scope["url_route"]["kwargs"]["conversation_id"]
        try:
            await in_thread(self._check_access)
        except AppError as error:
            await self._refuse(error)

    async def disconnect(self, code: int) -> None:
        """Forget the viewer; the answer goes on."""
        if self._viewer is not None:
            self._viewer.cancel()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take one command; what it brings about is told by the viewer's task."""
        command: Command | None = None
        try:
            command = events.decode_command(text_data or bytes_data or b"")
            principal = await in_thread(self._check_access)
            await self._obey(command, principal)
        except SignedOut as error:
            await self._refuse(error)
        except AppError as error:
            request = command.client_request_id if isinstance(command, Send) else None
            await self._send(events.Error(error.code, error.message, request))

    async def _obey(self, command: Command, principal: Principal) -> None:
        match command:
            case Subscribe(message, cursor):
                await in_thread(self._check_answer, message)
                self._view(message, cursor)
            case Send():
                await self._ask(command, principal)
            case Stop(message):
                await in_thread(services.stop, principal=principal, message_id=message)
                await generation.stop(message)

    async def _ask(self, command: Send, principal: Principal) -> None:
        await in_thread(services.count_question, principal)
        turn = await in_thread(
            services.send_message,
            principal=principal,
            conversation_id=self._conversation,
            question=services.Question(
                text=command.text,
                client_request_id=command.client_request_id,
                parent=command.parent,
                model=command.model or "",
            ),
        )
        await generation.start(turn, address.of_scope(self.scope), language.of_scope(self.scope))
        if self._viewer is None:
            shown = events.Turn(turn.question, command.text, turn.answer, command.client_request_id)
            await self._send(shown)
            self._view(turn.answer, 0)

    def _view(self, answer: UUID, cursor: int) -> None:
        if self._viewer is not None:
            self._viewer.cancel()
        self._viewer = asyncio.create_task(self._show(answer, cursor))

    async def _show(self, answer: UUID, cursor: int) -> None:
        """Send what happens from here on; a reader that stalls holds up nobody but itself."""
        check_at = time.monotonic() + CHECK_SECONDS
        try:
            async with aclosing(follow(self._conversation, answer, cursor)) as news:
                async for event in news:
                    if isinstance(event, events.Turn) or time.monotonic() > check_at:
                        await self._check_again()
                        check_at = time.monotonic() + CHECK_SECONDS
                    await self._send(event)
        except AppError as error:
            await self._refuse(error)
        except Exception:  # the edge of a task that nobody awaits
            logger.exception("chat.viewer_failed")
            await self.close(INTERNAL_ERROR)

    async def _check_again(self) -> None:
        """Raise if whoever has left the window open may see nothing more."""
        try:
            await in_thread(self._check_access)
        except DependencyDown:
            return  # running answers go on

    async def _send(self, event: events.Event) -> None:
        await self.send(text_data=events.encode(event).decode())

    async def _refuse(self, error: AppError) -> None:
        await self._send(events.Error(error.code, error.message))
        await self.close_for(error)

    def _check_access(self) -> Principal:
        """Return who is signed in now, if they may see the conversation."""
        principal = principal_for(user_on(self.scope))
        if not Conversation.objects.visible_to(principal).filter(pk=self._conversation).exists():
            raise NotFound("There is no such conversation.")
        return principal

    def _check_answer(self, message_id: UUID) -> None:
        answers = Message.objects.filter(conversation_id=self._conversation, role="assistant")
        if not answers.filter(pk=message_id).exists():
            raise NotFound("There is no such answer.")
