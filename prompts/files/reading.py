"""Files into drafts of prompts; all that is wrong with them is found before anything is told."""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from prompts.content import PromptContent
from prompts.engine.rendering import compile_content
from prompts.errors import PromptContentInvalid
from prompts.files import langfuse
from prompts.files.documents import Document, DocumentInvalid, read
from prompts.files.drafts import Bundle, LabelDraft, PromptDraft, Source, VersionDraft
from prompts.files.errors import FileProblem, ImportInvalid
from prompts.files.layout import LABELS, PROMPT, VERSIONS
from prompts.models import LABEL_NAME, WRONG_LABEL

MAX_FILES = 5_000
MAX_TOTAL = 20_000_000  # bytes, of all files
LONGEST_TEXT = 300  # characters of a note or a description

NAME = re.compile(r"[-a-zA-Z0-9_]{1,100}")
VERSION_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
PARTS = {field.name: field.type for field in msgspec.structs.fields(PromptContent)}
WHERE = re.compile(r"^(?P<text>.*?)(?: - at `\$(?P<place>.*)`)?$", re.DOTALL)


def read_files(files: Mapping[str, bytes]) -> Bundle:
    """Return what the files say; raise `ImportInvalid` naming all that is wrong.

    Names that begin with a dot, and files that are neither YAML nor JSON, are passed over.
    """
    reading = _Reading()
    used = {path: text for path, text in sorted(files.items()) if _is_used(path)}
    if problem := _too_much(used):
        raise ImportInvalid([problem])
    for path, text in used.items():
        reading.take(path, text)
    return reading.bundle()


def _is_used(path: str) -> bool:
    pure = PurePosixPath(path)
    is_hidden = any(part.startswith((".", "__MACOSX")) for part in pure.parts)
    return not is_hidden and pure.suffix in (".yaml", ".yml", ".json")


def _too_much(files: Mapping[str, bytes]) -> FileProblem | None:
    total = sum(len(text) for text in files.values())
    text = ""
    if not files:
        text = "There is no file of a prompt: their names end in .yaml, those of Langfuse in .json."
    elif len(files) > MAX_FILES:
        text = f"There are more than {MAX_FILES:,} files."
    elif total > MAX_TOTAL:
        text = f"All files together have more than {MAX_TOTAL:,} bytes."
    return FileProblem("all files", None, "", text) if text else None


class _Reading:
    """What is found so far: prompts by name, and problems."""

    def __init__(self) -> None:
        self.prompts: dict[str, PromptDraft] = {}
        self.labels: list[tuple[PromptDraft, Source, Any]] = []  # read when all versions are
        self.problems: list[FileProblem] = []
        self.notes: list[FileProblem] = []

    def take(self, path: str, text: bytes) -> None:
        """Read one file, whose place tells what it is."""
        pure = PurePosixPath(path)
        try:
            if pure.suffix == ".json":
                return self._take_langfuse(path, text)
            document = read(text)
        except DocumentInvalid as error:
            self.problems.append(FileProblem(path, error.line, "", error.text))
            return None
        source = Source(path, document.lines)
        if pure.parent.name == VERSIONS:
            return self._take_version(pure, source, document)
        if pure.name in (PROMPT, LABELS) and pure.parent.name:
            return self._take_part(pure, source, document)
        return self._take_whole(source, document)

    def bundle(self) -> Bundle:
        for prompt, source, value in self.labels:
            self._read_labels(prompt, source, value)
        for prompt in self.prompts.values():
            if not prompt.versions:
                self.problems.append(prompt.source.problem("The prompt has no version."))
        if self.problems:
            raise ImportInvalid(self.problems)
        return Bundle(tuple(self.prompts[name] for name in sorted(self.prompts)), (*self.notes,))

    def _take_langfuse(self, path: str, text: bytes) -> None:
        found = langfuse.read(path, text)
        for prompt in found.prompts:
            if prompt.name in self.prompts:
                self._twice(prompt.source, prompt.name)
            self.prompts[prompt.name] = prompt
            for version in prompt.versions.values():
                self._check(version)
        self.notes += found.notes
        self.problems += found.problems

    def _take_version(self, path: PurePosixPath, source: Source, document: Document) -> None:
        if prompt := self._prompt(path.parent.parent.name, source):
            self._read_version(prompt, path.stem, source, document.value)

    def _take_part(self, path: PurePosixPath, source: Source, document: Document) -> None:
        prompt = self._prompt(path.parent.name, source)
        if prompt is None:
            return
        if path.name == LABELS:
            self.labels.append((prompt, source, document.value))
        elif fields := self._fields(source, document.value, {"description"}):
            self._read_description(prompt, source, fields["description"])

    def _take_whole(self, source: Source, document: Document) -> None:
        known = {"name", "description", "labels", "versions"}
        fields = self._fields(source, document.value, known)
        if fields is None:
            return
        name = fields.get("name")
        if not isinstance(name, str):
            self.problems.append(source.problem("The file does not say the `name` of a prompt."))
            return
        if name in self.prompts:
            self._twice(source, name)
        if not (prompt := self._prompt(name, source)):
            return
        if "description" in fields:
            self._read_description(prompt, source, fields["description"])
        self.labels.append((prompt, source.at("labels"), fields.get("labels", {})))
        inside = source.at("versions")
        for stem, value in (self._fields(inside, fields.get("versions"), None) or {}).items():
            self._read_version(prompt, stem, inside.at(stem), value)

    def _prompt(self, name: str, source: Source) -> PromptDraft | None:
        if not NAME.fullmatch(name):
            text = f"“{name[:100]}” names no prompt: use letters, digits, hyphens, underscores."
            self.problems.append(source.problem(text))
            return None
        return self.prompts.setdefault(name, PromptDraft(name, source))

    def _twice(self, source: Source, name: str) -> None:
        self.problems.append(source.problem(f"The prompt “{name}” stands in several files."))

    def _fields(self, source: Source, value: Any, known: set[str] | None) -> dict[str, Any] | None:
        """Return the fields that stand there; note what is no list of fields, or unknown."""
        if not isinstance(value, dict):
            self.problems.append(source.problem("Here belong fields, as `name: value`."))
            return None
        for name in value:
            if known is not None and name not in known:
                text = f"“{name[:100]}” is unknown: there is {', '.join(sorted(known))}."
                self.problems.append(source.at(name).problem(text))
        return value if known is None else {one: value[one] for one in value if one in known}

    def _read_description(self, prompt: PromptDraft, source: Source, value: Any) -> None:
        prompt.description = self._text(source.at("description"), value)

    def _text(self, source: Source, value: Any) -> str:
        if isinstance(value, str) and len(value) <= LONGEST_TEXT:
            return value
        text = f"This is a text of up to {LONGEST_TEXT} characters."
        self.problems.append(source.problem(text))
        return ""

    def _read_version(self, prompt: PromptDraft, stem: str, source: Source, value: Any) -> None:
        if not VERSION_NAME.fullmatch(stem) or stem in prompt.versions:
            text = f"“{stem[:100]}” names no version, or one that is there already."
            self.problems.append(source.problem(text))
            return
        fields = self._fields(source, value, {*PARTS, "note"})
        if fields is None:
            return
        note = self._text(source.at("note"), fields.pop("note", ""))
        if "messages" not in fields:
            self.problems.append(source.problem("There are no `messages`."))
        parts = dict(self._parts(source, fields))
        # One that is wrong is there all the same, so that its label does not miss it as well.
        content = PromptContent(**{"messages": (), **parts})
        prompt.versions[stem] = VersionDraft(stem, content, note, source)
        # Templates cannot be judged without the variables that are declared.
        if "messages" in parts and ("variables" in parts or "variables" not in fields):
            self._check(prompt.versions[stem])

    def _check(self, version: VersionDraft) -> None:
        try:
            compile_content(version.content)
        except PromptContentInvalid as error:
            self.problems += [version.source.of_content(problem) for problem in error.problems]

    def _parts(self, source: Source, fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the parts of a version typed, each by itself, so that all problems are found."""
        for name, value in fields.items():
            try:
                yield name, msgspec.convert(value, PARTS[name])
            except msgspec.ValidationError as error:
                self.problems.append(_typed_wrong(source, name, error))

    def _read_labels(self, prompt: PromptDraft, source: Source, value: Any) -> None:
        for name, said in (self._fields(source, value, None) or {}).items():
            here = source.at(name)
            if not LABEL_NAME.fullmatch(name):
                self.problems.append(here.problem(WRONG_LABEL))
            elif (fields := self._fields(here, said, {"version", "hash"})) is not None:
                self._read_label(prompt, name, here, fields)

    def _read_label(
        self, prompt: PromptDraft, name: str, source: Source, fields: dict[str, Any]
    ) -> None:
        stem = fields.get("version")
        version = prompt.versions.get(stem) if isinstance(stem, str) else None
        if version is None:
            text = f"The files have no version “{stem}” of “{prompt.name}”."
            self.problems.append(source.at("version").problem(text))
            return
        prompt.labels.append(LabelDraft(name, version, source))
        if fields.get("hash") not in (None, version.content.digest()):
            text = f"It is not as it was exported for “{name}”: somebody has edited it since."
            self.notes.append(version.source.problem(text))


def _typed_wrong(source: Source, name: str, error: msgspec.ValidationError) -> FileProblem:
    found = WHERE.match(str(error))
    text, inside = (found["text"], found["place"] or "") if found else (str(error), "")
    place = inside.split("[...]")[0]
    # In the library's words a value that is none of those allowed is an "enum value".
    told = text.replace("Invalid enum value", "It cannot be")
    return source.at(name + place).problem(f"{told}.")
