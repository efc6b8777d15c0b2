"""All forms of one version together: filled from an older one, or as they were sent."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from prompts.admin.editing.forms import (
    LanguageForm,
    MessageForm,
    NoteForm,
    PartForm,
    SchemaForm,
    SettingsForm,
    ToolsForm,
    VariableForm,
)
from prompts.content import MessageTemplate, PromptContent, Variable

KEY = re.compile(r"[A-Za-z0-9_-]{1,150}")
FIRST_MESSAGE = MessageTemplate("system", "")


@dataclass(slots=True)
class Language:
    """A language with its messages; the first of a version is the one they are written in."""

    key: str
    form: LanguageForm
    messages: list[MessageForm]

    @property
    def tag(self) -> str:
        return str(self.form["tag"].value() or "")

    def add(self, message: MessageTemplate) -> MessageForm:
        """Append a message; return its form."""
        taken = {form.prefix for form in self.messages}
        number = next(n for n in range(len(taken) + 1) if f"{self.key}-m{n}" not in taken)
        form = MessageForm(
            initial={"role": message.role, "template": message.template},
            prefix=f"{self.key}-m{number}",
        )
        self.messages.append(form)
        return form

    @property
    def texts(self) -> list[str]:
        return [str(form["template"].value() or "") for form in self.messages]


@dataclass(slots=True)
class VersionEditor:
    """The forms of a version, in the order of the page."""

    languages: list[Language]
    variables: list[VariableForm]
    settings: SettingsForm
    tools: ToolsForm
    schema: SchemaForm
    note: NoteForm

    @property
    def forms(self) -> Iterator[PartForm]:
        """Yield each form."""
        for language in self.languages:
            yield language.form
            yield from language.messages
        yield from self.variables
        yield from (self.settings, self.tools, self.schema, self.note)

    @property
    def default(self) -> Language:
        """Return the language that the messages are written in first."""
        return self.languages[0]

    @property
    def variants(self) -> list[tuple[Language, str]]:
        """Return the other languages, each with what it lacks in words."""
        return [(language, self._lack(language)) for language in self.languages[1:]]

    def add_language(self, tag: str, messages: Iterable[MessageTemplate]) -> Language:
        """Append a language; return it."""
        taken = {language.key for language in self.languages}
        number = next(n for n in range(len(taken) + 1) if f"l{n}" not in taken)
        form = LanguageForm(initial={"tag": tag}, prefix=f"l{number}")
        language = Language(f"l{number}", form, [])
        for message in messages:
            language.add(message)
        self.languages.append(language)
        return language

    def add_variable(self, variable: Variable) -> VariableForm:
        """Append the row of a variable; return it. The same name has the same row every time."""
        key = f"v-{variable.name}"
        taken = {form.prefix for form in self.variables}
        while key in taken:
            key += "-"
        form = VariableForm.filled(variable, key)
        self.variables.append(form)
        return form

    def _lack(self, language: Language) -> str:
        written = sum(bool(text.strip()) for text in language.texts)
        wanted = sum(bool(text.strip()) for text in self.default.texts)
        return f"{written} of {wanted} messages are written." if written < wanted else ""


def started(content: PromptContent | None, newest: int) -> VersionEditor:
    """Return the forms filled with what a version says, or empty ones."""
    said = content or PromptContent(messages=(FIRST_MESSAGE,))
    editor = VersionEditor(
        languages=[],
        variables=[],
        settings=SettingsForm.filled(said.settings, "settings"),
        tools=ToolsForm.filled(said.tools, "tools"),
        schema=SchemaForm.filled(said.output_schema, "schema"),
        note=NoteForm(initial={"newest": newest}, prefix="version"),
    )
    editor.add_language(said.default_locale, said.messages)
    for tag, messages in said.locales.items():
        editor.add_language(tag, messages)
    for variable in said.variables:
        editor.add_variable(variable)
    return editor


def sent(fields: QueryDict, *, is_checked: bool) -> VersionEditor:
    """Return the forms as they were filled in; unless they are to be checked, without errors."""

    def form(kind: type[PartForm], prefix: str) -> Any:
        return kind.sent(fields, prefix, is_checked=is_checked)

    languages = [
        Language(
            key,
            form(LanguageForm, key),
            [form(MessageForm, one) for one in _keys(fields, f"{key}-message")],
        )
        for key in _keys(fields, "language") or ["l0"]
    ]
    return VersionEditor(
        languages=languages,
        variables=[form(VariableForm, key) for key in _keys(fields, "variable")],
        settings=form(SettingsForm, "settings"),
        tools=form(ToolsForm, "tools"),
        schema=form(SchemaForm, "schema"),
        note=form(NoteForm, "version"),
    )


def _keys(fields: QueryDict, name: str) -> Sequence[str]:
    """Return the keys of rows in the order of the page, each once."""
    return [key for key in dict.fromkeys(fields.getlist(name)) if KEY.fullmatch(key)]
