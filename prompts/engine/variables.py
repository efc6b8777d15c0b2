"""Whether values fit the variables of a prompt."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from prompts.content import Variable, VariableType
from prompts.errors import PromptVariablesInvalid

MAX_DEPTH = 20  # of lists and objects within each other
MOST_NAMES = 20  # that an error tells
LONGEST_NAME = 100  # characters of one that nobody knows

DESCRIPTIONS: dict[VariableType, str] = {
    "text": "a text",
    "number": "a number",
    "boolean": "true or false",
    "choice": "one of its options",
    "list": "a list",
    "json": "a JSON value",
}

Kind = Literal["wrong_type", "empty", "too_long", "not_an_option"]


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


def misfit(variable: Variable, value: Any) -> tuple[Kind, str] | None:
    """Return why the variable cannot have this value: a kind, and what it must be."""
    if not _has_type(value, variable.type):
        return "wrong_type", f"must be {DESCRIPTIONS[variable.type]}"
    if variable.type == "choice" and value not in variable.options:
        return "not_an_option", f"must be one of {', '.join(variable.options)}"
    if not variable.may_be_empty and _is_empty(value):
        return "empty", "must not be empty"
    if variable.max_length is not None and len(value) > variable.max_length:
        unit = "items" if variable.type == "list" else "characters"
        return "too_long", f"has at most {variable.max_length:,} {unit}"
    return None


def _problems(variables: Sequence[Variable], values: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong by kind, each with all the names that it is about."""
    known = {variable.name: variable for variable in variables}
    missing = [name for name, one in known.items() if one.required and name not in values]
    unknown = [name for name in values if name not in known]
    found: dict[str, str] = {}
    if missing:
        found["missing"] = f"missing {_listed(missing)}"
    if unknown:
        found["unknown"] = f"unknown {_listed(unknown)}"
    wrong: dict[str, list[str]] = {}
    for name, variable in known.items():
        if name in values and (reason := misfit(variable, values[name])):
            wrong.setdefault(reason[0], []).append(f"{name} {reason[1]}")
    return found | {kind: ", ".join(reasons) for kind, reasons in wrong.items()}


def _listed(names: Iterable[Any]) -> str:
    told = [str(name)[:LONGEST_NAME] for name in names]
    return ", ".join(told[:MOST_NAMES]) + (" and more" if len(told) > MOST_NAMES else "")


def _is_empty(value: Any) -> bool:
    return not (value.strip() if isinstance(value, str) else value)


def _has_type(value: Any, kind: VariableType) -> bool:
    """Return whether `value` is JSON of that type."""
    match kind:
        case "text" | "choice":
            return isinstance(value, str) and _is_unicode(value)
        case "number":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return is_number and _is_json(value)
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list) and _is_json(value)
        case "json":
            return _is_json(value)


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
