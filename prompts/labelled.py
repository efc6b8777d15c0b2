"""The version that a caller asks for, ready to be rendered: at most a second old."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from asgiref.sync import sync_to_async

from accounts.models import Organization
from core.cached import Cached
from llm.types import CacheMode, Message, PromptCache, PromptUsed, Tool
from prompts import includes, versions
from prompts.content import DEFAULT_LOCALE, ModelSettings, OutputSchema, PromptContent
from prompts.engine import locales, surroundings
from prompts.engine.rendering import CompiledPrompt, compile_content
from prompts.errors import PromptNotFound
from prompts.models import Prompt, PromptLabel, PromptVersion

A_SHORT_TEXT = 4096  # characters


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """The words for one call and what goes with them, and which version they are of."""

    name: str
    version: int
    messages: tuple[Message, ...]
    settings: ModelSettings
    cache: PromptCache  # what may be done with the answer
    tools: tuple[Tool, ...] = ()
    output_schema: OutputSchema | None = None
    locale: str = DEFAULT_LOCALE  # the language of the messages
    experiment: str = ""  # that chose the version, with the arm that was drawn for the unit
    arm: str = ""
    unit: str = ""
    arm_model: str = ""  # asked whatever model the caller names

    def used(self) -> PromptUsed:
        """Return what usage records say of it."""
        return PromptUsed(self.name, self.version, self.cache, self.experiment, self.arm, self.unit)


class LabelKey(NamedTuple):
    """What a caller asks for."""

    organization_id: int
    name: str
    label: str
    number: int | None = None  # of a version; it counts instead of the label


@dataclass(frozen=True, slots=True)
class Labelled:
    """A version with all that it includes, and what is set for the prompt whatever its version."""

    prompt_id: int
    organization: str  # its name
    name: str
    number: int
    whole: CompiledPrompt
    cache: PromptCache

    def render(
        self, values: Mapping[str, Any], context: Mapping[str, Any], locale: str = ""
    ) -> RenderedPrompt:
        """Return the words for `values`, and for what of the context it declares."""
        whole, content = self.whole, self.whole.content
        asked = locales.canonical(locale)
        offered = {"organization": self.organization, **context}
        given = surroundings.taken(whole, values, offered, asked)
        return RenderedPrompt(
            name=self.name,
            version=self.number,
            messages=whole.render(given, asked),
            settings=content.settings,
            cache=self.cache,
            tools=content.tools,
            output_schema=content.output_schema,
            locale=whole.locale(asked),
        )

    async def rendered(
        self, values: Mapping[str, Any], context: Mapping[str, Any], locale: str = ""
    ) -> RenderedPrompt:
        """Do what `render` does; what may take long, nobody else of this event loop waits for."""
        if all(map(_is_short, values.values())):
            return self.render(values, context, locale)
        return await sync_to_async(self.render, thread_sensitive=False)(values, context, locale)


def _is_short(value: Any) -> bool:
    """Return whether a template is done with the value at once, whatever it does with it."""
    return (
        len(value) <= A_SHORT_TEXT if isinstance(value, str) else not isinstance(value, list | dict)
    )


def load(key: LabelKey) -> Labelled:
    """Return the version that is asked for, with what it includes under the same label."""
    prompt, version_id = _numbered(key, key.number) if key.number else _labelled(key)
    version = versions.version(version_id)
    whole = includes.complete(
        version.compiled, name=key.name, organization_id=key.organization_id, label=key.label
    )
    return Labelled(
        prompt_id=prompt.pk,
        organization=prompt.organization.name,
        name=version.name,
        number=version.number,
        whole=whole,
        cache=_cache_of(prompt),
    )


def unsaved(content: PromptContent, *, organization: Organization, label: str) -> Labelled:
    """Return content that no version says yet, as version 0 of a prompt without a name."""
    whole = includes.complete_new(
        compile_content(content), name="", organization_id=organization.pk, label=label
    )
    return Labelled(0, organization.name, "", 0, whole, PromptCache())


def _labelled(key: LabelKey) -> tuple[Prompt, int]:
    labels = PromptLabel.objects.filter(
        prompt__organization_id=key.organization_id, prompt__name=key.name, name=key.label
    )
    label = labels.select_related("prompt__organization").first()
    if label is None:
        raise _not_found(key, f"with the label “{key.label}”", param="label")
    return label.prompt, label.version_id


def _numbered(key: LabelKey, number: int) -> tuple[Prompt, int]:
    found = PromptVersion.objects.filter(
        prompt__organization_id=key.organization_id, prompt__name=key.name, number=number
    )
    version = found.select_related("prompt__organization").first()
    if version is None:
        raise _not_found(key, f"with a version {number}", param="version")
    return version.prompt, version.pk


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


labelled: Cached[LabelKey, Labelled] = Cached(load)
