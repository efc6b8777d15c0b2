"""From the forms of a version to its content, and from what is wrong to the field it is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from django.core.exceptions import NON_FIELD_ERRORS

from prompts import includes
from prompts.admin.editing.editor import Language, VersionEditor
from prompts.admin.editing.forms import PartForm
from prompts.content import MessageTemplate, ModelSettings, PromptContent, Variable
from prompts.engine import checking
from prompts.engine.rendering import CompiledPrompt, compile_content, declare_missing
from prompts.errors import Problem, PromptContentInvalid
from prompts.models import Prompt

Field = tuple[PartForm, str]


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, and the field to look at; "" where it is about no single one."""

    field_id: str
    place: str  # in words
    text: str


@dataclass(slots=True)
class Reading:
    """What the forms say, compiled if it could be saved."""

    editor: VersionEditor
    content: PromptContent
    found: tuple[Variable, ...] = ()  # that the text uses and nobody had declared
    used: frozenset[str] | None = None  # names of variables; None: the text cannot be read
    whole: CompiledPrompt | None = None  # with what it includes
    other: list[str] = field(default_factory=list)  # mistakes that are about no single field

    @property
    def is_valid(self) -> bool:
        return self.whole is not None

    @property
    def mistakes(self) -> list[Mistake]:
        """Return all that is wrong, in the order of the page."""
        found = [Mistake("", "", text) for text in self.other]
        for form in self.editor.forms:
            for name, errors in form.errors.items():
                for error in errors:
                    found.append(_mistake(self.editor, form, name, str(error)))
        return found


def read(editor: VersionEditor, prompt: Prompt) -> Reading:
    """Return what the forms say; each field that is wrong has its error then."""
    are_valid = not any([form.errors for form in editor.forms])  # noqa: C419 - each is read
    reader = _Reader(editor)
    reading = Reading(editor, reader.content())
    try:
        whole = _compiled(reading, prompt)
    except PromptContentInvalid as error:
        for problem in error.problems:
            reader.place(problem, reading.other)
    else:
        # An error may be the reader's own: a language that is there twice.
        reading.whole = whole if are_valid and not reader.has_clash else None
    return reading


def _compiled(reading: Reading, prompt: Prompt) -> CompiledPrompt:
    """Return the content with what it includes; raise with the problems of all its parts."""
    written = reading.content
    try:
        reading.content = content = declare_missing(written)
    except PromptContentInvalid as error:
        problems = [*checking.problems_of(written), *error.problems]
        raise PromptContentInvalid(problems=problems) from None
    reading.found = content.variables[len(written.variables) :]
    bare = declare_missing(msgspec.structs.replace(written, variables=()))
    reading.used = frozenset(variable.name for variable in bare.variables)
    return includes.complete_new(
        compile_content(content), name=prompt.name, organization_id=prompt.organization_id
    )


class _Reader:
    """Reads the forms; what is wrong with one is left out, and found by its own form."""

    def __init__(self, editor: VersionEditor) -> None:
        self.editor = editor
        self.has_clash = False
        self.fields: dict[str, Field] = {  # by place, as in `Problem`
            "default_locale": (editor.default.form, "tag"),
            "tools": (editor.tools, "tools"),
            "output_schema": (editor.schema, "schema"),
        }

    def content(self) -> PromptContent:
        """Return what the forms say together."""
        editor = self.editor
        return PromptContent(
            messages=self._messages("messages", editor.default),
            default_locale=editor.default.form.cleaned_data.get("tag", ""),
            locales=self._variants(),
            variables=self._variables(),
            settings=editor.settings.settings() if editor.settings.is_valid() else ModelSettings(),
            tools=editor.tools.cleaned_data.get("tools", ()),
            output_schema=editor.schema.wanted() if editor.schema.is_valid() else None,
        )

    def place(self, problem: Problem, other: list[str]) -> None:
        """Put the problem to the field that it is about, or with those of the whole."""
        about = self._field(problem.place)
        if about is None or about[1] not in about[0].fields:
            other.append(problem.sentence)
            return
        text = problem.text[:1].upper() + problem.text[1:]
        if problem.line is not None:
            text = f"Line {problem.line}: {problem.text}"
        form, name = about
        form.add_error(name, text)

    def _field(self, place: str) -> Field | None:
        kind, _, name = place.partition(".")
        if kind == "settings":
            return self.editor.settings, name
        return self.fields.get(place) or self.fields.get(place.partition("[")[0])

    def _messages(self, place: str, language: Language) -> tuple[MessageTemplate, ...]:
        found: list[MessageTemplate] = []
        for form in language.messages:
            if message := form.message():
                self.fields[f"{place}[{len(found)}]"] = form, "template"
                found.append(message)
        first: PartForm = language.messages[0] if language.messages else language.form
        self.fields[place] = (first, "template" if language.messages else "tag")
        return tuple(found)

    def _variants(self) -> dict[str, tuple[MessageTemplate, ...]]:
        found: dict[str, tuple[MessageTemplate, ...]] = {}
        for language in self.editor.languages[1:]:
            tag = language.form.cleaned_data.get("tag", "")
            if tag in found:
                language.form.add_error("tag", f"The language “{tag}” is there already.")
                self.has_clash = True
            elif tag:
                found[tag] = self._messages(f"locales.{tag}", language)
        return found

    def _variables(self) -> tuple[Variable, ...]:
        found: list[Variable] = []
        for form in self.editor.variables:
            if form.is_valid() and (variable := form.variable()):
                self.fields[f"variables[{len(found)}]"] = form, "name"
                found.append(variable)
        return tuple(found)


def _mistake(editor: VersionEditor, form: PartForm, name: str, text: str) -> Mistake:
    if name == NON_FIELD_ERRORS:
        return Mistake("", _whose(editor, form), text)
    wrong = form[name]
    return Mistake(str(wrong.id_for_label), _whose(editor, form) or str(wrong.label), text)


def _whose(editor: VersionEditor, form: PartForm) -> str:
    """Return which row a form is, in words; "" where the field says enough."""
    for language in editor.languages:
        for number, message in enumerate(language.messages, start=1):
            if message is form:
                where = (
                    ""
                    if language is editor.default
                    else f" in {language.tag or 'the new language'}"
                )
                return f"Message {number}{where}"
    if form in editor.variables:
        return f"Variable {form['name'].value() or editor.variables.index(form) + 1}"
    return ""


def focus_first(mistakes: list[Mistake], editor: VersionEditor) -> None:
    """Let the browser put the cursor into the first field that is wrong."""
    wrong = next((one.field_id for one in mistakes if one.field_id), None)
    for form in editor.forms:
        for shown in form:
            if wrong and shown.id_for_label == wrong:
                shown.field.widget.attrs["autofocus"] = True


def by_field(mistakes: list[Mistake]) -> Mapping[str, list[str]]:
    """Return the texts of each field."""
    found: dict[str, list[str]] = {}
    for mistake in mistakes:
        found.setdefault(mistake.field_id, []).append(mistake.text)
    return found
