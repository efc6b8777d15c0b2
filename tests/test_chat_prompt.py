"""The chat speaks with a versioned prompt, and the books say with which version."""

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

import prompts.demo
from billing.models import UsageRecord
from chat import generation, services
from llm.types import FunctionDefinition, Tool
from prompts import services as prompt_services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.models import Prompt
from prompts.releases import services as releases
from tests.chat_support import Person, ended, question
from tests.vendor import Answer, FakeVendor

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]


async def ask(person: Person, vendor: FakeVendor, after: services.Turn | None) -> services.Turn:
    """Have a turn answered by the vendor, and return it when it has ended."""
    vendor.script(Answer(text="Yes."))
    if after is None:
        turn = await person.begins(model="test-model")
    else:
        turn = await sync_to_async(services.send_message)(
            principal=person.principal,
            conversation_id=after.conversation,
            question=question("And now?"),
        )
    await generation.start(turn)
    await ended(turn.answer)
    return turn


def system_message(vendor: FakeVendor) -> str:
    first: dict[str, Any] = vendor.requests[-1].body["messages"][0]
    assert first["role"] == "system"
    return str(first["content"])


def publish(text: str) -> None:
    prompt = Prompt.objects.get(name="chat-system")
    content = PromptContent(messages=(MessageTemplate(role="system", template=text),))
    version = prompt_services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=version.number)


async def test_a_published_version_speaks_in_the_next_answer(
    alice: Person, vendor: FakeVendor, a_second_later: Callable[[], None]
) -> None:
    await sync_to_async(prompts.demo.seed)(alice.organization)
    await vendor.aserve()

    first = await ask(alice, vendor, after=None)
    assert "You talk with alice" in system_message(vendor)
    await sync_to_async(publish)("Answer like a pirate.")
    a_second_later()
    await ask(alice, vendor, after=first)

    assert system_message(vendor) == "Answer like a pirate."
    used = [
        (record.prompt_name, record.prompt_version)
        async for record in UsageRecord.objects.order_by("started_at")
    ]
    assert used == [("chat-system", 1), ("chat-system", 2)]


async def test_the_prompt_speaks_the_language_of_the_person_and_brings_no_tools(
    alice: Person, vendor: FakeVendor
) -> None:
    def publish_in_german() -> None:
        prompt = prompt_services.create_prompt(organization=alice.organization, name="chat-system")
        german = MessageTemplate(role="system", template="Es ist {{ date|truncatewords:1 }}")
        content = PromptContent(
            messages=(MessageTemplate(role="system", template="English."),),
            variables=(Variable(name="date"),),
            tools=(Tool(function=FunctionDefinition(name="look_up")),),
            locales={"de": (german,)},
        )
        version = prompt_services.add_version(prompt=prompt, content=content)
        releases.move_label(prompt=prompt, number=version.number)

    await sync_to_async(publish_in_german)()
    await vendor.aserve()
    vendor.script(Answer(text="Ja."))
    turn = await alice.begins(model="test-model")

    await generation.start(turn, locale="de-at")
    await ended(turn.answer)

    assert system_message(vendor).startswith("Es ist")
    assert "tools" not in vendor.requests[-1].body
