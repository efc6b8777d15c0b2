"""Whether values fit the variables of a prompt."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from prompts.content import Variable, VariableType
from prompts.errors import PromptVariablesInvalid

MAX_DEPTH = 20  # of lists and objects within each other

DESCRIPTIONS: dict[VariableType, str] = {
    "text": "a text",
    "number": "a number",
    "boolean": "true or false",
    "choice": "one of its options",
    "list": "a list",
    "json": "a JSON value",
}


def complete(variables: Sequence[Variable], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with the defaults of what is left out; raise naming all that is wrong."""
    problems = _problems(variables, values)
    if problems:
        raise PromptVariablesInvalid(
            f"The variables of the prompt are wrong: {'; '.join(problems.values())}.",
            param="variables",
            details=problems,
        )
    return {variable.name: values.get(variable.name, variable.default) for variable in variables}


def fits(value: Any, kind: VariableType) -> bool:
    """Return whether `value` is JSON of that type."""
    if not _is_json(value):
        return False
    match kind:
        case "text" | "choice":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "json":
            return True


def _problems(variables: Sequence[Variable], values: Mapping[str, Any]) -> dict[str, str]:
    known = {variable.name: variable for variable in variables}
    missing = [name for name, one in known.items() if one.required and name not in values]
    unknown = [name for name in values if name not in known]
    wrong = [
        f"{name} must be {DESCRIPTIONS[variable.type]}"
        for name, variable in known.items()
        if name in values and not fits(values[name], variable.type)
    ]
    found = {
        "missing": f"missing {', '.join(missing)}" if missing else "",
        "unknown": f"unknown {', '.join(map(str, unknown))}" if unknown else "",
        "wrong_type": ", ".join(wrong),
    }
    return {kind: text for kind, text in found.items() if text}


def _is_json(value: Any, depth: int = 0) -> bool:
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, str):
        return _is_unicode(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(_is_json(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return all(
            isinstance(key, str) and _is_unicode(key) and _is_json(item, depth + 1)
            for key, item in value.items()
        )
    return value is None or isinstance(value, bool | int)


def _is_unicode(text: str) -> bool:
    """Return whether `text` can be sent: half of a character (a lone surrogate) cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
