"""A person in front of the chat's socket."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client

from accounts.models import Membership, Organization, User
from accounts.services import principal_for
from chat import services
from chat.models import Message

PATIENCE = 60.0  # seconds; nobody waits so long but where something is broken
ORIGIN = b"http://localhost"


class Person:
    """Somebody with an account, signed in."""

    def __init__(self, name: str, organization: Organization) -> None:
        self.user = User.objects.create_user(name)
        self.organization = organization
        Membership.objects.create(user=self.user, organization=organization)
        self.principal = principal_for(self.user)
        self.browser = Client()
        self.browser.force_login(self.user)

    def begin(self, text: str = "Hello", *, model: str = "demo-small") -> services.Turn:
        """Start a conversation, without writing its answer yet."""
        return services.start_conversation(
            principal=self.principal, question=question(text, model=model)
        )

    async def begins(self, text: str = "Hello", *, model: str = "demo-small") -> services.Turn:
        return await sync_to_async(self.begin)(text, model=model)

    @asynccontextmanager
    async def window(
        self, conversation: uuid.UUID, *, origin: bytes | None = ORIGIN
    ) -> AsyncIterator["Window"]:
        """Have a socket on the conversation, as a page of this person opens it."""
        async with window(conversation, self.browser, origin=origin) as opened:
            yield opened


@asynccontextmanager
async def window(
    conversation: uuid.UUID, browser: Client, *, origin: bytes | None = ORIGIN
) -> AsyncIterator["Window"]:
    path = f"/ws/chat/{conversation}/"
    async with connected(path, browser, "parley.chat.v1", origin) as (communicator, is_open):
        yield Window(communicator, is_open)


@asynccontextmanager
async def connected(
    path: str, browser: Client, words: str, origin: bytes | None
) -> AsyncIterator[tuple[Any, bool]]:
    """Have a socket as a page of the browser opens it, and know whether it was let in."""
    from config.asgi import application

    session = browser.cookies.get(settings.SESSION_COOKIE_NAME)
    cookie = f"{settings.SESSION_COOKIE_NAME}={session.value}" if session else ""
    communicator = WebsocketCommunicator(
        application,
        path,
        headers=[
            *([(b"origin", origin)] if origin is not None else []),
            (b"host", b"localhost"),
            (b"cookie", cookie.encode()),
        ],
        subprotocols=[words],
    )
    is_open, _ = await communicator.connect(timeout=PATIENCE)
    try:
        yield communicator, is_open
    finally:
        await communicator.disconnect(timeout=PATIENCE)


class Window:
    """What a page keeps of an answer, by nothing but the events it gets."""

    def __init__(self, communicator: Any, is_open: bool) -> None:
        self._communicator = communicator
        self.is_open = is_open
        self.bytes = 0
        self.text = ""
        self.html = ""
        self.rest = ""
        self.cursor = 0
        self.events: list[list[Any]] = []

    async def command(self, type_: str, **fields: Any) -> None:
        await self._communicator.send_to(
            text_data=msgspec.json.encode({"type": type_, **fields}).decode()
        )

    async def raw(self, frame: str) -> None:
        await self._communicator.send_to(text_data=frame)

    async def event(self) -> list[Any]:
        """Return the next event, having done what it says."""
        output = await self._communicator.receive_output(PATIENCE)
        if output["type"] == "websocket.close":
            return ["close", output["code"]]
        self.bytes += len(output["text"].encode())
        event: list[Any] = msgspec.json.decode(output["text"])
        self.events.append(event)
        self._apply(event)
        return event

    async def until(self, name: str) -> list[Any]:
        """Return the next event of that name."""
        while True:
            event = await self.event()
            if event[0] == name:
                return event

    def _apply(self, event: list[Any]) -> None:
        match event:
            case ["delta", cursor, text]:
                assert cursor > self.cursor
                self.cursor = cursor
                self.text += text
                self.rest += text
            case ["block", cursor, html, rest, is_whole]:
                assert cursor > self.cursor
                self.cursor = cursor
                self.html = html if is_whole else self.html + html
                self.rest = rest
            case ["snapshot", _, cursor, html, rest, _]:
                self.cursor, self.html, self.rest = cursor, html, rest
            case ["turn", *_]:
                self.cursor, self.text, self.html, self.rest = 0, "", "", ""
            case ["usage" | "status", cursor, *_]:
                self.cursor = cursor


def question(text: str, *, model: str = "", parent: uuid.UUID | None = None) -> services.Question:
    return services.Question(text=text, client_request_id=uuid.uuid4(), model=model, parent=parent)


async def eventually(
    answer: uuid.UUID, fits: Callable[[Message], bool], *, seconds: float = PATIENCE
) -> Message:
    """Return the answer's row as soon as it fits."""
    async with asyncio.timeout(seconds):
        while True:
            message = await Message.objects.aget(pk=answer)
            if fits(message):
                return message
            await asyncio.sleep(0.02)


async def ended(answer: uuid.UUID) -> Message:
    return await eventually(answer, lambda message: not message.is_running)
