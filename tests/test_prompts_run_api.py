"""Code within Parley runs a prompt as docs/prompts.md tells, at somebody's cost."""

import pytest
from asgiref.sync import sync_to_async

from billing.models import UsageRecord
from llm.types import Call, ChatRequest, Finished
from prompts import applying, services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.releases import services as releases
from tests.chat_support import Person
from tests.llm_support import MARKS, collect, text_of

pytestmark = MARKS


def released(person: Person) -> None:
    prompt = services.create_prompt(organization=person.organization, name="greeting")
    content = PromptContent(
        messages=(MessageTemplate("user", "Greet {{ name }}."),), variables=(Variable("name"),)
    )
    services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=1)


@pytest.mark.parametrize("number", [None, 1])
async def test_a_prompt_is_rendered_and_streamed(alice: Person, number: int | None) -> None:
    await sync_to_async(released)(alice)
    principal = alice.principal

    prompt = await services.render_for_call(
        organization_id=principal.organization_id,
        name="greeting",
        number=number,
        variables={"name": "Ada"},
    )
    request = applying.applied(ChatRequest(model="demo-small", messages=()), prompt)
    call = Call(principal=principal, surface="api", request_id="report-7", prompt=prompt.used())
    events = await collect(request, call)

    assert text_of(events)
    assert isinstance(events[-1], Finished)
    record = await UsageRecord.objects.aget()
    assert (record.prompt_name, record.prompt_version) == ("greeting", 1)
