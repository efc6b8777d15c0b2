"""What every prompt may know without being told: the moment, the language, who asks."""

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from django.conf.locale import LANG_INFO
from django.utils import timezone, translation
from django.utils.formats import date_format

from prompts.engine import locales
from prompts.engine.rendering import CompiledPrompt


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
            found[name] = KNOWN[name](locale, prompt.locale(locale))
    return found


def _date(day: date, spoken: str) -> str:
    """Return the day with its weekday as the language writes it, or else in English."""
    known = (tag.lower() for tag in locales.chain(spoken) if tag.lower() in LANG_INFO)
    return _written(day, next(known, "en"))


@lru_cache(maxsize=256)
def _written(day: date, language: str) -> str:
    with translation.override(language):
        return f"{date_format(day, 'l')}, {date_format(day, 'DATE_FORMAT')}"


# By name: from the language that was asked for, "" for none, and the one the prompt speaks.
KNOWN: dict[str, Callable[[str, str], str]] = {
    "today": lambda asked, spoken: timezone.localdate().isoformat(),
    "date": lambda asked, spoken: _date(timezone.localdate(), spoken),
    "time": lambda asked, spoken: timezone.localtime().strftime("%H:%M %Z"),
    "locale": lambda asked, spoken: asked or spoken,
}
