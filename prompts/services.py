"""Every write to prompts, and the two ways to render one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import structlog
from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction

from accounts.models import Organization, User
from core.cached import Cached
from core.database import translate_outage
from core.errors import InvalidRequest, NotFound
from llm.types import CacheMode, Message, PromptCache
from prompts.content import ModelSettings, PromptContent
from prompts.errors import PromptContentInvalid, PromptExists, PromptNotFound
from prompts.models import LABEL_NAME, PRODUCTION, Prompt, PromptLabel, PromptVersion
from prompts.rendering import CompiledPrompt, compile_content

logger = structlog.get_logger(__name__)

NONE: Mapping[str, Any] = MappingProxyType({})
KEPT_VERSIONS = 256  # compiled, in each process


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """The words for one call, and which version they are of."""

    name: str
    version: int
    messages: tuple[Message, ...]
    settings: ModelSettings
    cache: PromptCache  # what may be done with the answer


class LabelKey(NamedTuple):
    """What a caller asks for."""

    organization_id: int
    name: str
    label: str
    number: int | None = None  # of a version; it counts instead of the label


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
    compile_content(content)
    # Two people who save at once get two numbers.
    Prompt.objects.select_for_update().get(pk=prompt.pk)
    newest = prompt.versions.newest_first().first()
    if newest and newest.content_hash == content.digest():
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


@transaction.atomic
def move_label(
    *, prompt: Prompt, number: int, name: str = PRODUCTION, moved_by: User | None = None
) -> PromptLabel:
    """Point the label at another version; calls use it within a second."""
    if not LABEL_NAME.fullmatch(name):
        raise InvalidRequest(
            "A label has small letters, digits, hyphens and underscores, a letter first.",
            param="name",
        )
    version = prompt.versions.filter(number=number).first()
    if version is None:
        raise NotFound(f"The prompt “{prompt}” has no version {number}.")
    label, _ = PromptLabel.objects.update_or_create(
        prompt=prompt, name=name, defaults={"version": version, "moved_by": moved_by}
    )
    logger.info("prompts.label_moved", prompt=prompt.name, label=name, version=number)
    return label


def render(
    *,
    organization_id: int,
    name: str,
    label: str = PRODUCTION,
    variables: Mapping[str, Any] = NONE,
    context: Mapping[str, Any] = NONE,
) -> RenderedPrompt:
    """Return the words of the version that carries the label now.

    `variables` must be those that the version declares; of `context`, which is what the caller
    knows anyway, it takes those it declares.
    """
    with translate_outage():
        labelled = _load(LabelKey(organization_id, name, label))
    return labelled.render(variables, context)


async def render_for_call(
    *,
    organization_id: int,
    name: str,
    label: str = PRODUCTION,
    number: int | None = None,
    variables: Mapping[str, Any] = NONE,
    context: Mapping[str, Any] = NONE,
) -> RenderedPrompt:
    """Return the words of the version that carried the label within the last second.

    A `number` asks for that version, whatever label it carries.
    """
    labelled = await _labelled.get(LabelKey(organization_id, name, label, number))
    return labelled.render(variables, context)


@dataclass(frozen=True, slots=True)
class _Version:
    name: str
    number: int
    compiled: CompiledPrompt


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A version, and what is set for the prompt whatever its version."""

    version: _Version
    cache: PromptCache

    def render(self, values: Mapping[str, Any], context: Mapping[str, Any]) -> RenderedPrompt:
        version = self.version
        content = version.compiled.content
        declared = {variable.name for variable in content.variables}
        taken = {name: value for name, value in context.items() if name in declared}
        messages = version.compiled.render({**taken, **values})
        return RenderedPrompt(version.name, version.number, messages, content.settings, self.cache)


def _load(key: LabelKey) -> _Labelled:
    if key.number is not None:
        return _load_numbered(key, key.number)
    labels = PromptLabel.objects.filter(
        prompt__organization_id=key.organization_id, prompt__name=key.name, name=key.label
    )
    label = labels.select_related("prompt").first()
    if label is None:
        raise _not_found(key, f"with the label “{key.label}”", param="label")
    return _Labelled(_compiled(label.version_id), _cache_of(label.prompt))


def _load_numbered(key: LabelKey, number: int) -> _Labelled:
    versions = PromptVersion.objects.filter(
        prompt__organization_id=key.organization_id, prompt__name=key.name, number=number
    )
    version = versions.select_related("prompt").first()
    if version is None:
        raise _not_found(key, f"with a version {number}", param="version")
    return _Labelled(_compiled(version.pk), _cache_of(version.prompt))


def _not_found(key: LabelKey, lacking: str, *, param: str) -> PromptNotFound:
    """Return the error that says what there is not: the prompt itself, or a part of it."""
    prompts = Prompt.objects.filter(organization_id=key.organization_id, name=key.name)
    return PromptNotFound(
        f"There is no prompt “{key.name}” {lacking}.", param=param if prompts.exists() else "name"
    )


def _cache_of(prompt: Prompt) -> PromptCache:
    return PromptCache(
        mode=cast(CacheMode, prompt.cache_mode) if prompt.cache_mode else None,
        seconds=prompt.cache_seconds,
        semantic_threshold=prompt.semantic_threshold,
        semantic_model=prompt.semantic_model,
    )


@lru_cache(maxsize=KEPT_VERSIONS)
def _compiled(version_id: int) -> _Version:
    """Return a version ready to be rendered; it never changes, so it is kept."""
    version = PromptVersion.objects.select_related("prompt").get(pk=version_id)
    return _Version(version.prompt.name, version.number, compile_content(version.content))


_labelled: Cached[LabelKey, _Labelled] = Cached(_load)
