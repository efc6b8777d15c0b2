"""How a viewer follows a conversation: an answer from a cursor to its end, then the next turn."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from uuid import UUID

from chat import events, log, markdown, wakes
from chat.events import Event
from chat.models import Message
from core.database import in_thread
from core.errors import DependencyDown

# Without a wake-up a viewer looks for itself: one may be lost, Redis may be away, and the process
# that wrote the answer may be gone.
LOOK_SECONDS = 2.0
TURN_LOOK_SECONDS = 60.0  # for a turn that was begun in another window


async def follow(conversation: UUID, answer: UUID, cursor: int) -> AsyncGenerator[Event, None]:
    """Yield what comes after `cursor` of an answer, then each further turn as it is made."""
    async with wakes.watch(wakes.conversation(conversation)) as woken:
        while True:
            async with aclosing(follow_answer(answer, cursor)) as news:
                async for event in news:
                    yield event
            turn = await _next_turn(answer, woken)
            yield turn
            answer, cursor = turn.answer, 0


async def follow_answer(answer: UUID, cursor: int) -> AsyncGenerator[Event, None]:
    """Yield what comes after `cursor`, to the end; a snapshot where the log has a gap."""
    async with wakes.watch(wakes.answer(answer)) as woken:
        is_silent = True  # at first, what the log does not have, the row has
        while True:
            woken.clear()
            news: list[Event] = [*events.joined(await log.read(answer, cursor))]
            if not news and is_silent:
                news = await _from_row(answer, cursor)
            for event in news:
                yield event
                cursor = _cursor(event, cursor)
            if news and isinstance(news[-1], events.Status):
                return
            is_silent = False if news else await _waited_in_vain(woken, LOOK_SECONDS)


async def _next_turn(answer: UUID, woken: asyncio.Event) -> events.Turn:
    while True:
        woken.clear()
        try:
            turn = await in_thread(_turn_after, answer)
        except DependencyDown:
            turn = None
        if turn is not None:
            return turn
        await _waited_in_vain(woken, TURN_LOOK_SECONDS)


def _turn_after(answer: UUID) -> events.Turn | None:
    question = Message.objects.filter(parent_id=answer).in_order().last()
    following = question.children.in_order().last() if question else None
    if question is None or following is None:
        return None
    return events.Turn(question.pk, question.text, following.pk, question.client_request_id)


async def _waited_in_vain(woken: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return True
    return False


async def _from_row(answer: UUID, cursor: int) -> list[Event]:
    """Return the answer as its row has it, if that is news to who knows it up to `cursor`."""
    try:
        message = await in_thread(Message.objects.get, pk=answer)
    except DependencyDown:
        return []  # the log may still have news
    if message.is_running:
        return [await _snapshot(message)] if message.cursor > cursor else []
    return [await _snapshot(message), *events.end_of(message)]


async def _snapshot(message: Message) -> events.Snapshot:
    html, rest = await asyncio.to_thread(halves, message)
    return events.Snapshot(message.pk, message.cursor, html, rest, message.status)


def halves(message: Message) -> tuple[str, str]:
    """Return the finished blocks of an answer as HTML, and the text that is still open."""
    if not message.is_running:
        return message.html, "" if message.html else message.text
    finished = message.finished
    return markdown.render(message.text[:finished]), message.text[finished:]


def _cursor(event: Event, before: int) -> int:
    return getattr(event, "cursor", before)
