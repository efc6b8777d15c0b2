"""Two versions side by side: messages, variables, settings, tools, schema and languages."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

import msgspec

from prompts.content import MessageTemplate, PromptContent
from prompts.releases.diff import Block, compare_texts
from prompts.releases.runs import Effort

Messages = Sequence[MessageTemplate]
ALWAYS_SHOWN = ("type", "required")  # of a variable; the rest only where it is set


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that both versions, or one of them, say."""

    title: str
    change: str  # "unchanged", "changed", "added" or "removed"
    blocks: tuple[Block, ...]
    is_coarse: bool = False  # too long to mark every word that changed


def compare(old: PromptContent, new: PromptContent) -> list[Part]:
    """Return every part of both versions, each with what changed in it."""
    effort = Effort()
    pairs = [
        *_messages(old.messages, new.messages, "Message"),
        *_by_name("Variable", _variables(old), _variables(new)),
        ("Settings", _fields(old.settings), _fields(new.settings)),
        *_by_name("Tool", _tools(old), _tools(new)),
        ("Output schema", _json(old.output_schema), _json(new.output_schema)),
        ("Language of the messages", old.default_locale, new.default_locale),
        *_locales(old, new),
    ]
    return [
        _part(title, before, after, effort) for title, before, after in pairs if before or after
    ]


def _part(title: str, before: str, after: str, effort: Effort) -> Part:
    change = "changed" if before and after else "added" if after else "removed"
    if before == after:
        change = "unchanged"
    effort.has_given_up = False
    blocks = compare_texts(before, after, effort)
    return Part(title, change, blocks, is_coarse=effort.has_given_up)


def _messages(old: Messages, new: Messages, title: str) -> Iterator[tuple[str, str, str]]:
    """Return the messages in pairs: those that are equal, and between them those of one role."""
    places = {id(message): place for side in (old, new) for place, message in enumerate(side, 1)}
    for before, after in _aligned(old, new, key=lambda one: (one.role, one.template)):
        there = after or before
        if there is not None:
            named = f"{title} {places[id(there)]}, {there.role}"
            yield named, before.template if before else "", after.template if after else ""


def _aligned(
    old: Messages, new: Messages, key: Callable[[MessageTemplate], object]
) -> Iterator[tuple[MessageTemplate | None, MessageTemplate | None]]:
    is_by_role = key is _role
    matcher = SequenceMatcher(None, [key(one) for one in old], [key(one) for one in new], False)
    for tag, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        before, after = old[old_from:old_to], new[new_from:new_to]
        if tag == "equal":
            yield from zip(before, after, strict=True)
        elif is_by_role:
            yield from ((one, None) for one in before)
            yield from ((None, one) for one in after)
        else:
            yield from _aligned(before, after, key=_role)


def _role(message: MessageTemplate) -> object:
    return message.role


def _locales(old: PromptContent, new: PromptContent) -> Iterator[tuple[str, str, str]]:
    for tag in sorted(old.locales.keys() | new.locales.keys()):
        yield from _messages(old.locales.get(tag, ()), new.locales.get(tag, ()), f"{tag}: message")


def _by_name(
    title: str, old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    for name in [*new, *(name for name in old if name not in new)]:
        yield f"{title} {name}", old.get(name, ""), new.get(name, "")


def _tools(content: PromptContent) -> dict[str, str]:
    return {tool.function.name: _json(tool) for tool in content.tools}


def _variables(content: PromptContent) -> dict[str, str]:
    return {one.name: _fields(one, ALWAYS_SHOWN) for one in content.variables}


def _fields(struct: msgspec.Struct, always: Sequence[str] = ()) -> str:
    """Return the fields that are set as lines."""
    defaults = dict(
        zip_longest(
            reversed(struct.__struct_fields__), reversed(struct.__struct_defaults__), fillvalue=None
        )
    )
    values = ((name, getattr(struct, name)) for name in struct.__struct_fields__ if name != "name")
    return "\n".join(
        f"{name.replace('_', ' ')}: {_shown(value)}"
        for name, value in values
        if name in always or value != defaults[name]
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else _json(value, indent=None)


def _json(value: Any, indent: int | None = 2) -> str:
    if value is None:
        return ""
    return json.dumps(msgspec.to_builtins(value), indent=indent, ensure_ascii=False)
