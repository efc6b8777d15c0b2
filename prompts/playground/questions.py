"""What the playground asks: for each column a version and a model, with one set of values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts.models import User
from accounts.principal import Principal
from accounts.services import principal_for
from core.errors import PermissionDenied
from core.ids import new_id
from llm.types import CacheWish, Call, ChatRequest, Message
from prompts.applying import applied
from prompts.models import Prompt
from prompts.services import render_for_call

# Calls cost money, so to look at prompts is not enough.
PERMISSION = "prompts.add_promptversion"
SURFACE = "playground"
TAGS = ("playground",)
MOST_COLUMNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one column asks."""

    place: int  # of the column, from 0
    prompt: str  # its name
    version: int
    model: str  # the name to ask for; "": the version's own
    temperature: float | None = None  # None: as the version has it; so is the next
    max_tokens: int | None = None
    variables: Mapping[str, Any]
    locale: str = ""
    messages: tuple[Message, ...] = ()


def payer(user: User, prompt: Prompt) -> Principal:
    """Return who pays: the member of staff, in the organization of the prompt."""
    try:
        return principal_for(user, prompt.organization)
    except PermissionDenied:
        raise PermissionDenied(
            f"Calls of the playground are paid by {prompt.organization}, and you are not a member "
            "of it. Ask an administrator to add you."
        ) from None


async def call_of(
    question: Question, principal: Principal, ip: str = ""
) -> tuple[ChatRequest, Call]:
    """Return what is asked of the model; raise where the values do not fit the version."""
    rendered = await render_for_call(
        organization_id=principal.organization_id,
        name=question.prompt,
        number=question.version,
        variables=question.variables,
        context={"user_name": principal.user_name},
        locale=question.locale,
    )
    request = ChatRequest(
        model=question.model,
        messages=question.messages,
        temperature=question.temperature,
        max_tokens=question.max_tokens,
    )
    call = Call(
        principal=principal,
        surface=SURFACE,
        request_id=new_id().hex,
        prompt=rendered.used(),
        cache=CacheWish(mode="off"),  # a kept answer would say nothing of time and cost
        tags=TAGS,
        ip=ip,
    )
    return applied(request, rendered), call
