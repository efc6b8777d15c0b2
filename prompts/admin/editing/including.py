"""Which other prompts are touched by a change of this one: those that include it."""

from typing import NamedTuple

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from prompts import versions
from prompts.models import Prompt, PromptLabel


class Including(NamedTuple):
    """A prompt whose words have another one's in them, under one of its labels."""

    prompt_id: int
    name: str
    label: str


def including(prompt: Prompt) -> list[Including]:
    """Return where the prompt is included, by name and label."""
    labels = PromptLabel.objects.filter(prompt__organization_id=prompt.organization_id)
    said = labels.annotate(
        said=Cast("version__messages", TextField()), variants=Cast("version__locales", TextField())
    ).filter(_quoted(prompt.name))
    rows = said.order_by("prompt__name", "name").values_list(
        "prompt_id", "prompt__name", "name", "version_id"
    )
    return [
        Including(prompt_id, name, label)
        for prompt_id, name, label, version_id in rows
        if prompt.name in versions.version(version_id).compiled.included
    ]


def _quoted(name: str) -> Q:
    """Find the name in quotes, as JSON writes them; whether it is an include is seen later."""
    found = Q()
    for column in ("said", "variants"):
        for ending in ('\\"', "'"):
            found |= Q(**{f"{column}__contains": f"{name}{ending}"})
    return found
