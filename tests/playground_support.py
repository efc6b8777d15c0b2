"""A member of staff in front of the playground."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.models import Prompt
from prompts.releases import services as releases
from tests.chat_support import ORIGIN, PATIENCE, Person, connected

RIGHTS = ("view_prompt", "add_promptversion")
TEXTS = ("Be kind to {{ name }}.", "Be brief with {{ name }}.")


def make_staff(person: Person, *rights: str) -> None:
    """Let a person into the admin, with these permissions of prompts."""
    User.objects.filter(pk=person.user.pk).update(is_staff=True)
    found = Permission.objects.filter(codename__in=rights, content_type__app_label="prompts")
    person.user.user_permissions.set(found)


def make_prompt(person: Person, *, variables: tuple[Variable, ...] = (Variable("name"),)) -> Prompt:
    """Return a prompt with two versions in the organization of a person."""
    prompt = services.create_prompt(organization=person.organization, name="orders")
    for text in TEXTS:
        content = PromptContent(messages=(MessageTemplate("system", text),), variables=variables)
        services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=1)
    return prompt


def fields(
    *columns: tuple[Any, str], message: str = "Where is it?", **values: str
) -> dict[str, str]:
    """Return what the page's form sends: columns of version and model, values of variables."""
    found = {
        "columns-TOTAL_FORMS": str(len(columns)),
        "columns-INITIAL_FORMS": str(len(columns)),
        "messages-TOTAL_FORMS": "1",
        "messages-INITIAL_FORMS": "1",
        "messages-0-role": "user",
        "messages-0-content": message,
        "locale": "",
    }
    for place, (version, model) in enumerate(columns):
        found |= {f"columns-{place}-version": str(version), f"columns-{place}-model": model}
    return found | {f"variable-{name}": value for name, value in values.items()}


@asynccontextmanager
async def tried(
    prompt_id: int,
    browser: Client,
    *,
    origin: bytes | None = ORIGIN,
    words: str = "parley.playground.v1",
) -> AsyncIterator["Tried"]:
    """Have the playground's socket open, as a page opens it."""
    path = f"/ws/prompts/{prompt_id}/playground/"
    async with connected(path, browser, words, origin) as (communicator, is_open):
        yield Tried(communicator, is_open)


class Tried:
    """What a page knows, by nothing but the events it gets."""

    def __init__(self, communicator: Any, is_open: bool) -> None:
        self._communicator = communicator
        self.is_open = is_open
        self.texts: dict[int, str] = {}
        self.ends: dict[int, list[Any]] = {}

    async def run(self, sent: dict[str, str]) -> None:
        await self.command("run", form=urlencode(sent))

    async def command(self, type_: str, **values: Any) -> None:
        await self.raw(msgspec.json.encode({"type": type_, **values}).decode())

    async def raw(self, frame: str) -> None:
        await self._communicator.send_to(text_data=frame)

    async def event(self) -> list[Any]:
        """Return the next event, having noted what it says."""
        output = await self._communicator.receive_output(PATIENCE)
        if output["type"] == "websocket.close":
            return ["close", output["code"]]
        event: list[Any] = msgspec.json.decode(output["text"])
        if event[0] == "delta":
            self.texts[event[1]] = self.texts.get(event[1], "") + event[3]
        elif event[0] == "ended":
            self.ends[event[1]] = event[2:]
        return event

    async def until(self, name: str) -> list[Any]:
        """Return the next event of that name."""
        while True:
            event = await self.event()
            if event[0] == name:
                return event
