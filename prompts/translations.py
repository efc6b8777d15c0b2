"""Which prompts speak which languages, for who looks for what is missing."""

from typing import NamedTuple

from django.db.models import F, Func

from prompts.engine import locales
from prompts.models import PRODUCTION, PromptLabel


class Spoken(NamedTuple):
    """The languages of one prompt, and those of others that nobody hears from it."""

    prompt: str
    version: int
    locales: tuple[str, ...]  # its default first
    missing: tuple[str, ...]


def missing_locales(*, organization_id: int, label: str = PRODUCTION) -> list[Spoken]:
    """Return what each prompt of an organization speaks under a label, by the prompt's name.

    A prompt that speaks German lacks no Austrian German: who asks for it hears the former.
    """
    labels = PromptLabel.objects.filter(prompt__organization_id=organization_id, name=label)
    rows = labels.order_by("prompt__name").values_list(
        "pk", "prompt__name", "version__number", "version__default_locale"
    )
    keys = Func(F("version__locales"), function="jsonb_object_keys")
    variants: dict[int, list[str]] = {}
    for pk, tag in labels.annotate(tag=keys).order_by("tag").values_list("pk", "tag"):
        variants.setdefault(pk, []).append(tag)
    known = [
        Spoken(name, number, (default, *variants.get(pk, ())), ())
        for pk, name, number, default in rows
    ]
    everywhere = sorted({tag for one in known for tag in one.locales})
    return [one._replace(missing=_missing(one, everywhere)) for one in known]


def _missing(one: Spoken, everywhere: list[str]) -> tuple[str, ...]:
    return tuple(tag for tag in everywhere if locales.chosen(tag, one.locales) is None)
