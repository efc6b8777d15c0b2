"""Versions ready to be rendered; one never changes, so it is kept."""

from dataclasses import dataclass
from functools import lru_cache

from prompts.engine.rendering import CompiledPrompt, compile_content
from prompts.models import PromptVersion

KEPT = 512  # in each process


@dataclass(frozen=True, slots=True)
class Version:
    name: str  # of the prompt
    number: int
    compiled: CompiledPrompt  # what it includes is found for each label


@lru_cache(maxsize=KEPT)
def version(version_id: int) -> Version:
    """Return a version by its primary key."""
    found = PromptVersion.objects.select_related("prompt").get(pk=version_id)
    return Version(found.prompt.name, found.number, compile_content(found.content))
