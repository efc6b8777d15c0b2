"""How a prompt is laid out in files: its parts in a fixed order, and which file has which.

    greeting/prompt.yaml               what the prompt is for
    greeting/labels.yaml               which version each label names, and the hash of what it says
    greeting/versions/production.yaml  a version, so that a change of its words is just that in git

Or all of it in one file: `name`, `description`, `labels`, `versions`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.files.documents import Block, write

ALWAYS_WRITTEN = ("name", "type", "required")  # of a variable; the rest where it is set
PROMPT, LABELS, VERSIONS = "prompt.yaml", "labels.yaml", "versions"


def version_value(content: PromptContent, note: str = "") -> dict[str, Any]:
    """Return what the file of a version says: what is not set is left out."""
    settings = msgspec.to_builtins(content.settings)
    parts = {
        "note": note,
        "default_locale": content.default_locale,
        "messages": _messages(content.messages),
        "variables": [_variable(variable) for variable in content.variables],
        "settings": _plain(settings),
        "tools": [_plain(tool) for tool in msgspec.to_builtins(content.tools)],
        "output_schema": _plain(msgspec.to_builtins(content.output_schema)),
        "locales": {tag: _messages(content.locales[tag]) for tag in sorted(content.locales)},
    }
    unset = {**_defaults(PromptContent), "note": "", "messages": None}
    return {
        name: value
        for name, value in parts.items()
        if name == "messages" or (value and value != unset[name])
    }


def written(content: PromptContent, note: str = "") -> str:
    """Return the text of a version's file."""
    return write(version_value(content, note))


def folder(prompt: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a prompt, by path."""
    name = prompt["name"]
    files = {f"{name}/{PROMPT}": write({"description": prompt["description"]})}
    if prompt["labels"]:
        files[f"{name}/{LABELS}"] = write(prompt["labels"])
    for version, value in prompt["versions"].items():
        files[f"{name}/{VERSIONS}/{version}.yaml"] = write(value)
    return files


def _messages(messages: tuple[MessageTemplate, ...]) -> list[dict[str, str]]:
    return [{"role": one.role, "template": Block(one.template)} for one in messages]


def _variable(variable: Variable) -> dict[str, Any]:
    unset = _defaults(Variable)
    fields = msgspec.structs.asdict(variable)
    return {
        name: _plain(value)
        for name, value in fields.items()
        if name in ALWAYS_WRITTEN or value != unset[name]
    }


def _defaults(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        field.name: field.default
        if field.default_factory is msgspec.NODEFAULT
        else field.default_factory()
        for field in msgspec.structs.fields(struct)
    }


def _plain(value: Any) -> Any:
    """Return JSON with lists for tuples; what is inside sorted by name, as no order is kept."""
    if isinstance(value, dict):
        return {name: _sorted(one) for name, one in value.items()}
    return _sorted(value)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(one) for one in value]
    return value
