"""Language tags, and which variant of a prompt speaks a language."""

import re
from collections.abc import Container, Iterator

# A subset of BCP 47: a language, and maybe a script and a region.
_TAG = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|[0-9]{3}))?")


def canonical(tag: str) -> str:
    """Return the tag as it is written (`de-AT`, `zh-Hant`); "" where it is none."""
    parts = _TAG.fullmatch(tag)
    if parts is None:
        return ""
    language, script, region = parts.groups()
    written = (language.lower(), script and script.capitalize(), region and region.upper())
    return "-".join(filter(None, written))


def chain(tag: str) -> Iterator[str]:
    """Yield the tag and then what is more general: `zh-Hant-TW`, `zh-Hant`, `zh`."""
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


def chosen(asked: str, available: Container[str]) -> str | None:
    """Return the variant that comes nearest to the language asked for, if there is one."""
    return next((tag for tag in chain(canonical(asked)) if tag in available), None)
