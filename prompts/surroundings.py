"""What every prompt may know without being told: the moment, the language, who asks."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from django.utils import timezone, translation
from django.utils.formats import date_format

from prompts.rendering import CompiledPrompt


def taken(
    prompt: CompiledPrompt, values: Mapping[str, Any], offered: Mapping[str, Any], locale: str
) -> dict[str, Any]:
    """Return `values` with what else the prompt declares and is known anyway."""
    found = dict(values)
    for variable in prompt.variables:
        name = variable.name
        if name in found:
            continue
        if name in offered:
            found[name] = offered[name]
        elif name in KNOWN and variable.type == "text":
            found[name] = KNOWN[name](locale or prompt.content.default_locale)
    return found


@lru_cache(maxsize=256)
def _written(day: date, locale: str) -> str:
    """Return the day with its weekday, as the language writes it."""
    with translation.override(locale):
        return f"{date_format(day, 'l')}, {date_format(day, 'DATE_FORMAT')}"


KNOWN: dict[str, Callable[[str], str]] = {
    "today": lambda _: timezone.localdate().isoformat(),
    "date": lambda locale: _written(timezone.localdate(), locale),
    "time": lambda _: timezone.localtime().strftime("%H:%M %Z"),
    "locale": lambda locale: locale,
}
