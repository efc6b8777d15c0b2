"""Every write to prompts, and the two ways to render one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction

from accounts.models import Organization, User
from core.database import translate_outage
from core.errors import InvalidRequest
from prompts import includes
from prompts.content import PromptContent
from prompts.engine.rendering import compile_content
from prompts.errors import PromptContentInvalid, PromptExists
from prompts.experiments.assignment import arm_for
from prompts.labelled import LabelKey, RenderedPrompt, labelled, load, unsaved
from prompts.models import PRODUCTION, Prompt, PromptVersion

logger = structlog.get_logger(__name__)

NONE: Mapping[str, Any] = MappingProxyType({})


def create_prompt(*, organization: Organization, name: str, description: str = "") -> Prompt:
    """Return a new prompt, which has no version yet; raise `PromptExists` if the name is taken."""
    try:
        validate_slug(name)
    except ValidationError:
        raise InvalidRequest(
            "The name of a prompt has letters, digits, hyphens and underscores.", param="name"
        ) from None
    prompt, is_new = Prompt.objects.get_or_create(
        organization=organization, name=name, defaults={"description": description}
    )
    if not is_new:
        raise PromptExists(f"There is already a prompt “{name}”.", param="name")
    return prompt


@transaction.atomic
def add_version(
    *, prompt: Prompt, content: PromptContent, note: str = "", author: User | None = None
) -> PromptVersion:
    """Return the prompt's next version; raise `PromptContentInvalid` naming all that is wrong."""
    includes.complete_new(
        compile_content(content), name=prompt.name, organization_id=prompt.organization_id
    )
    return append_version(prompt=prompt, content=content, note=note, author=author)


@transaction.atomic
def append_version(
    *, prompt: Prompt, content: PromptContent, note: str = "", author: User | None = None
) -> PromptVersion:
    """Return the prompt's next version, of content that the caller has checked."""
    # Two people who save at once get two numbers.
    Prompt.objects.select_for_update().get(pk=prompt.pk)
    newest = prompt.versions.newest_first().first()
    if newest and newest.content == content:
        raise PromptContentInvalid(f"Nothing has changed since version {newest.number}.")
    version = PromptVersion.objects.create(
        prompt=prompt,
        number=newest.number + 1 if newest else 1,
        **content.stored(),
        content_hash=content.digest(),
        note=note,
        author=author,
    )
    logger.info("prompts.version_added", prompt=prompt.name, version=version.number)
    return version


def render(  # noqa: PLR0913 - each is a part of what a caller asks for
    *,
    organization_id: int,
    name: str,
    label: str = PRODUCTION,
    number: int | None = None,
    variables: Mapping[str, Any] = NONE,
    context: Mapping[str, Any] = NONE,
    locale: str = "",
) -> RenderedPrompt:
    """Return the words of the version that carries the label now, or of the one by its number.

    `variables` must be those that the version declares; of `context`, which is what the caller
    knows anyway, it takes those it declares. No experiment chooses: nobody is asked.
    """
    with translate_outage():
        found = load(LabelKey(organization_id, name, label, number))
    return found.render(variables, context, locale)


def preview(
    *,
    organization_id: int,
    content: PromptContent,
    label: str = PRODUCTION,
    variables: Mapping[str, Any] = NONE,
    context: Mapping[str, Any] = NONE,
    locale: str = "",
) -> RenderedPrompt:
    """Return the words of content that nobody has saved, with what it includes under the label.

    Raises `PromptContentInvalid` with all that keeps it from being saved.
    """
    with translate_outage():
        organization = Organization.objects.get(pk=organization_id)
        found = unsaved(content, organization=organization, label=label)
    return found.render(variables, context, locale)


async def render_for_call(  # noqa: PLR0913 - each is a part of what a caller asks for
    *,
    organization_id: int,
    name: str,
    label: str = PRODUCTION,
    number: int | None = None,
    variables: Mapping[str, Any] = NONE,
    context: Mapping[str, Any] = NONE,
    locale: str = "",
    units: Mapping[str, str] = NONE,
) -> RenderedPrompt:
    """Return the words of the version that carried the label within the last second.

    A `number` asks for that version, whatever label it carries. `units` are those whom the call is
    for, to whom experiments give their arms: `{"user": "user:12", "key": "key:5"}`.
    """
    found = await labelled.get(LabelKey(organization_id, name, label, number))
    drawn = await arm_for(found.prompt_id, label, units) if number is None else None
    if drawn is None:
        return await found.rendered(variables, context, locale)
    found = await labelled.get(LabelKey(organization_id, name, label, drawn.arm.version))
    return drawn.applied(await found.rendered(variables, context, locale))
