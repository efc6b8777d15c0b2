"""The version that a caller asks for, ready to be rendered: at most a second old."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, cast

from core.cached import Cached
from llm.types import CacheMode, Message, PromptCache, PromptUsed, Tool
from prompts.content import DEFAULT_LOCALE, ModelSettings, OutputSchema
from prompts.errors import PromptNotFound
from prompts.models import Prompt, PromptLabel, PromptVersion
from prompts.rendering import CompiledPrompt, compile_content

KEPT_VERSIONS = 256  # compiled, in each process


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
class _Version:
    name: str
    number: int
    compiled: CompiledPrompt


@dataclass(frozen=True, slots=True)
class Labelled:
    """A version, and what is set for the prompt whatever its version."""

    prompt_id: int
    version: _Version
    cache: PromptCache

    def render(
        self, values: Mapping[str, Any], context: Mapping[str, Any], locale: str = ""
    ) -> RenderedPrompt:
        version = self.version
        content = version.compiled.content
        declared = {variable.name for variable in content.variables}
        taken = {name: value for name, value in context.items() if name in declared}
        messages = version.compiled.render({**taken, **values}, locale)
        return RenderedPrompt(
            name=version.name,
            version=version.number,
            messages=messages,
            settings=content.settings,
            cache=self.cache,
            tools=content.tools,
            output_schema=content.output_schema,
            locale=version.compiled.locale(locale),
        )


def load(key: LabelKey) -> Labelled:
    if key.number is not None:
        return _load_numbered(key, key.number)
    labels = PromptLabel.objects.filter(
        prompt__organization_id=key.organization_id, prompt__name=key.name, name=key.label
    )
    label = labels.select_related("prompt").first()
    if label is None:
        raise _not_found(key, f"with the label “{key.label}”", param="label")
    return Labelled(label.prompt_id, _compiled(label.version_id), _cache_of(label.prompt))


def _load_numbered(key: LabelKey, number: int) -> Labelled:
    versions = PromptVersion.objects.filter(
        prompt__organization_id=key.organization_id, prompt__name=key.name, number=number
    )
    version = versions.select_related("prompt").first()
    if version is None:
        raise _not_found(key, f"with a version {number}", param="version")
    return Labelled(version.prompt_id, _compiled(version.pk), _cache_of(version.prompt))


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


labelled: Cached[LabelKey, Labelled] = Cached(load)
