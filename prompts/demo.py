"""The prompt that the chat speaks with, until staff write a better one."""

from django.db import transaction

from accounts.models import Organization
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.models import Prompt
from prompts.releases import services as releases

NAME = "chat-system"
TEXT = """\
You are Parley, a helpful assistant. You talk with {{ user_name }}; today is {{ today }}.
Answer clearly and briefly, in the language you are asked in, in Markdown where it helps.
If you are not sure of something, say so."""


@transaction.atomic
def seed(organization: Organization) -> None:
    """Make the prompt `chat-system` with its first version in production; safe to run twice."""
    if Prompt.objects.filter(organization=organization, name=NAME).exists():
        return
    prompt = services.create_prompt(
        organization=organization, name=NAME, description="How the chat's assistant behaves."
    )
    version = services.add_version(
        prompt=prompt,
        content=PromptContent(
            messages=(MessageTemplate(role="system", template=TEXT),),
            variables=(Variable(name="user_name"), Variable(name="today")),
        ),
        note="The first version.",
    )
    releases.move_label(prompt=prompt, number=version.number)
