"""Prompts that Langfuse has exported: its JSON, one prompt or a list of them, into drafts.

What Langfuse can say and Parley cannot is told, not lost in silence.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from msgspec import Struct

from prompts.content import MessageTemplate, PromptContent, Role
from prompts.files import langfuse_parts
from prompts.files.documents import MAX_BYTES, DocumentInvalid
from prompts.files.drafts import LabelDraft, PromptDraft, Source, VersionDraft
from prompts.files.errors import FileProblem
from prompts.models import LABEL_NAME

ROLES = {"system", "developer", "user", "assistant"}
LATEST = "latest"  # which Langfuse itself moves to the newest version
LONGEST_NOTE = 300
MOST_VERSIONS = 5_000  # in one file
ZERO = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class LangfuseMessage(Struct, frozen=True):
    """A message, or the place for messages that the caller brings."""

    role: str = ""
    content: Any = None
    type: str = ""
    name: str = ""


class LangfusePrompt(Struct, frozen=True, rename="camel"):
    """One version of a prompt, as Langfuse's API and its export have it."""

    name: str
    prompt: str | list[LangfuseMessage]
    version: int | None = None
    config: Any = None
    labels: list[str] = []
    tags: list[str] = []
    commit_message: str | None = None


@dataclass(slots=True)
class Taken:
    """What a file of Langfuse has."""

    prompts: list[PromptDraft] = field(default_factory=list)
    notes: list[FileProblem] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)


def read(path: str, text: bytes) -> Taken:
    """Return the prompts of a file; raise `DocumentInvalid` where it is no such file at all."""
    taken, found = Taken(), {}
    for number, row in enumerate(_rows(text)):
        source = Source(path, {}, f"[{number}]")
        try:
            found[number] = msgspec.convert(row, LangfusePrompt)
        except msgspec.ValidationError as error:
            taken.problems.append(source.problem(f"This is no prompt of Langfuse: {error}."))
    drafts: dict[str, PromptDraft] = {}
    for number, one in sorted(found.items(), key=lambda item: item[1].version or 0):
        _take(taken, drafts, Source(path, {}, f"[{number}]"), one)
    taken.prompts = list(drafts.values())
    return taken


def _rows(text: bytes) -> list[Any]:
    if len(text) > MAX_BYTES:
        raise DocumentInvalid(None, f"The file has more than {MAX_BYTES:,} bytes.")
    if ZERO.search(text):
        raise DocumentInvalid(None, "A zero character can be in no text.")
    try:
        value = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentInvalid(None, f"This is not JSON: {error}.") from None
    if isinstance(value, dict):
        value = value["data"] if isinstance(value.get("data"), list) else [value]
    if not isinstance(value, list) or len(value) > MOST_VERSIONS:
        text_of = f"This is no list of up to {MOST_VERSIONS:,} prompts of Langfuse."
        raise DocumentInvalid(None, text_of)
    return value


def _take(
    taken: Taken, drafts: dict[str, PromptDraft], source: Source, one: LangfusePrompt
) -> None:
    name = langfuse_parts.prompt_name(one.name)
    if not name:
        taken.problems.append(source.problem(f"“{one.name[:100]}” leaves no name for a prompt."))
        return

    def note(text: str) -> None:
        taken.notes.append(source.problem(f"{one.name}: {text}"))

    if name not in drafts:
        drafts[name] = PromptDraft(name, source, description=one.name[:LONGEST_NOTE])
        if name != one.name:
            note(f"It is called “{name}” here.")
        if one.tags:
            note(f"Prompts have no tags here: {', '.join(one.tags)[:200]}.")
    draft = drafts[name]
    if draft.description != one.name[:LONGEST_NOTE]:
        text = f"“{one.name}” and “{draft.description}” would both be called “{name}”."
        taken.problems.append(source.problem(text))
        return
    stem = f"{one.version if one.version is not None else len(draft.versions) + 1:04}"
    if stem in draft.versions or not stem.isdecimal():
        taken.problems.append(source.problem(f"Version {stem} of “{one.name}” cannot be told."))
        return
    version_note = (one.commit_message or "")[:LONGEST_NOTE]
    version = VersionDraft(stem, _content(one, note), version_note, source)
    draft.versions[stem] = version
    _take_labels(draft, version, one.labels, note)


def _take_labels(
    draft: PromptDraft, version: VersionDraft, labels: list[str], note: Callable[[str], None]
) -> None:
    for label in labels:
        name = re.sub(r"[^a-z0-9_-]+", "-", label.lower()).strip("-")[:50]
        if label == LATEST:
            continue
        if not LABEL_NAME.fullmatch(name):
            note(f"The label “{label[:100]}” cannot be taken over.")
            continue
        if name != label:
            note(f"The label “{label[:100]}” is called “{name}” here.")
        draft.labels = [one for one in draft.labels if one.name != name]
        draft.labels.append(LabelDraft(name, version, version.source))


def _content(one: LangfusePrompt, note: Callable[[str], None]) -> PromptContent:
    messages: list[MessageTemplate] = []
    names: list[str] = []
    for role, text in _texts(one, note):
        converted, used = langfuse_parts.template(text, note)
        messages.append(MessageTemplate(role, converted))
        names += used
    content = langfuse_parts.declared(tuple(messages), names)
    return langfuse_parts.with_config(content, one.config, note)


def _texts(one: LangfusePrompt, note: Callable[[str], None]) -> list[tuple[Role, str]]:
    """Return the messages that Parley can keep."""
    if isinstance(one.prompt, str):
        return [("user", one.prompt)]
    found: list[tuple[Role, str]] = []
    last = len(one.prompt) - 1
    for number, message in enumerate(one.prompt):
        if message.type == "placeholder":
            if number < last:
                note(
                    f"The placeholder “{message.name}” stands before other messages; here those "
                    "of a call come after all of the prompt's."
                )
        elif message.role not in ROLES or not isinstance(message.content, str):
            what = message.role or "unknown"
            note(f"Message {number + 1} is left out: its role is {what}, or it is no text.")
        else:
            found.append((cast(Role, message.role), message.content))
    return found
