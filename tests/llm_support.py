"""What tests of the model layer share: who calls, what is asked, what is in the books."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest

from accounts.models import Organization
from accounts.principal import Principal
from billing.models import UsageRecord
from llm import service
from llm.types import Call, ChatRequest, Delta, Event, Message

PATIENCE = 60  # seconds; nobody waits so long but where something is broken
MARKS = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("tidy_loop", "impatient_calls"),
]


def call_by(organization: Organization) -> Call:
    principal = Principal(organization_id=organization.pk)
    return Call(principal=principal, surface="api", request_id="request-1")


def ask(text: str = "Hello?", *, model: str = "test-model", **more: object) -> ChatRequest:
    messages = (Message("user", text),)
    return ChatRequest(model=model, messages=messages, **more)  # type: ignore[arg-type]


async def collect(request: ChatRequest, call: Call) -> list[Event]:
    """Return all events of an answer."""
    async with aclosing(service.stream(request, call)) as events:
        return [event async for event in events]


async def until_said(events: AsyncGenerator[Event, None], text: str) -> list[Event]:
    """Return the events until so much has been said, in however many pieces it comes."""
    seen: list[Event] = []
    while text_of(seen) != text:
        assert text.startswith(text_of(seen))
        seen.append(await anext(events))
    return seen


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def recorded() -> list[UsageRecord]:
    """Return the rows of all attempts, in order."""
    return [row async for row in UsageRecord.objects.order_by("started_at", "attempt")]


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until what another thread or process does is done."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the other thread knows nothing of our events
            await asyncio.sleep(0.01)
