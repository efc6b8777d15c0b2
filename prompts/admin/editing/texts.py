"""Values as people type them: JSON, and lists with a line for each item."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Never

from django.core.exceptions import ValidationError

from prompts.content import VariableType

PLAIN: tuple[VariableType, ...] = ("text", "choice")  # typed as they are


def unix(text: str) -> str:
    """Return the text with the line ends that it had before a browser sent it."""
    return text.replace("\r\n", "\n")


def read_json(text: str) -> Any:
    """Return the value of JSON text; raise `ValidationError` with the line that is wrong."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        reason = error.msg[0].lower() + error.msg[1:]
        raise ValidationError(f"Line {error.lineno}: this is not JSON: {reason}.") from None
    except (ValueError, RecursionError):
        raise ValidationError("This is not JSON.") from None


def write_json(value: Any) -> str:
    """Return the value as JSON that people can read."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def read_lines(text: str) -> tuple[str, ...]:
    """Return what stands on each line; a JSON list of texts is taken, too."""
    written = unix(text)
    if not written.lstrip().startswith('["'):
        return tuple(line for line in written.split("\n") if line.strip())
    values = read_json(written)
    if not all(isinstance(value, str) for value in values):
        raise ValidationError("A list that is written as JSON has texts only.")
    return tuple(values)


def write_lines(values: Sequence[str]) -> str:
    """Return a line for each text; JSON where lines would not say the same."""
    if any(_needs_json(value) for value in values):
        return json.dumps(list(values), ensure_ascii=False)
    return "\n".join(values)


def read_value(kind: VariableType, text: str) -> Any:
    """Return the value of a variable of that type."""
    if kind in PLAIN:
        return unix(text)
    if kind == "list" and not text.lstrip().startswith("["):
        return list(read_lines(text))
    return read_json(text)


def write_value(kind: VariableType, value: Any) -> str:
    """Return how somebody would type the value."""
    return value if kind in PLAIN else json.dumps(value, ensure_ascii=False)


def sentence(texts: Iterable[str]) -> str:
    """Return the texts with commas, and "and" before the last."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def _needs_json(text: str) -> bool:
    return not text.strip() or "\n" in text or "\r" in text or text.lstrip().startswith('["')


def _refuse(name: str) -> Never:
    raise ValueError(name)
