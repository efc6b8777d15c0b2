"""What a model is told: the words in force, then the conversation up to the question."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from accounts.principal import Principal
from accounts.services import principal_for
from chat.models import Message
from llm.types import Call, ChatRequest
from llm.types import Message as Said
from prompts import applying
from prompts.errors import PromptNotFound
from prompts.labelled import RenderedPrompt
from prompts.services import render_for_call

PROMPT = "chat-system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that is known about an answer before a model is asked."""

    principal: Principal
    request_id: str  # the answer's id: the usage record names its message
    ip: str  # of whoever asked
    locale: str  # the language they read in; "": not known
    conversation: UUID
    model: str
    said: tuple[Said, ...]
    offered: dict[str, Any]  # to the prompt, which takes what it declares


def load(answer_id: UUID, ip: str = "", locale: str = "") -> Context:
    """Return the context of an answer; raise `PermissionDenied` if the person may no longer ask."""
    answer = Message.objects.select_related("conversation__user", "conversation__organization").get(
        pk=answer_id
    )
    conversation = answer.conversation
    user = conversation.user
    return Context(
        principal=principal_for(user, conversation.organization),
        request_id=answer_id.hex,
        ip=ip,
        locale=locale,
        conversation=conversation.pk,
        model=conversation.model,
        said=tuple(
            Said(role="user" if message.role == "user" else "assistant", content=message.text)
            for message in conversation.branch()
            if message.text and message.pk != answer_id
        ),
        offered={"user_name": user.get_full_name() or user.get_username()},
    )


async def request_for(context: Context) -> tuple[ChatRequest, Call]:
    """Return what to ask of the model, with the prompt that is in production now."""
    prompt = await _prompt(context)
    request = ChatRequest(model=context.model, messages=context.said)
    call = Call(
        principal=context.principal,
        surface="chat",
        request_id=context.request_id,
        ip=context.ip,
        prompt=prompt.used() if prompt else None,
    )
    return applying.applied(request, prompt) if prompt else request, call


async def _prompt(context: Context) -> RenderedPrompt | None:
    """Return the chat's words; an organization that has written none is served without."""
    try:
        prompt = await render_for_call(
            organization_id=context.principal.organization_id,
            name=PROMPT,
            context=context.offered,
            locale=context.locale,
            units={
                "user": f"user:{context.principal.user_id}",
                "conversation": f"conversation:{context.conversation}",
            },
        )
    except PromptNotFound:
        return None
    return replace(prompt, tools=())  # the chat could not run them
