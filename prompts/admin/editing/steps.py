"""The buttons that change the form itself: rows that come, go and move."""

from collections.abc import Callable

from django.forms import BoundField

from prompts.admin.editing.editor import FIRST_MESSAGE, Language, VersionEditor
from prompts.admin.editing.forms import MessageForm
from prompts.content import MessageTemplate, Variable


def take(editor: VersionEditor, asked: str) -> None:
    """Do what a button asks for; the field that somebody looks for next gets the focus."""
    step, _, key = asked.partition(" ")
    if step in STEPS:
        STEPS[step](editor, key)


def _add_message(editor: VersionEditor, key: str) -> None:
    for language in _named(editor, key):
        _focus(language.add(MessageTemplate("user", ""))["template"])


def _remove_message(editor: VersionEditor, key: str) -> None:
    for language in editor.languages:
        language.messages = [form for form in language.messages if form.prefix != key]


def _up(editor: VersionEditor, key: str) -> None:
    _move(editor, key, -1)


def _down(editor: VersionEditor, key: str) -> None:
    _move(editor, key, 1)


def _move(editor: VersionEditor, key: str, by: int) -> None:
    for language in editor.languages:
        forms = language.messages
        place = next((n for n, form in enumerate(forms) if form.prefix == key), None)
        if place is not None and 0 <= place + by < len(forms):
            forms[place], forms[place + by] = forms[place + by], forms[place]
            _focus(forms[place + by]["template"])


def _add_variable(editor: VersionEditor, key: str) -> None:
    _focus(editor.add_variable(Variable(""))["name"])


def _remove_variable(editor: VersionEditor, key: str) -> None:
    editor.variables = [form for form in editor.variables if form.prefix != key]


def _add_language(editor: VersionEditor, key: str) -> None:
    _focus(editor.add_language("", [FIRST_MESSAGE]).form["tag"])


def _remove_language(editor: VersionEditor, key: str) -> None:
    kept = [language for language in editor.languages[1:] if language.key != key]
    editor.languages = [editor.default, *kept]


def _copy(editor: VersionEditor, key: str) -> None:
    """Fill what the language lacks with the words of the first one, to be translated."""
    for language in _named(editor, key):
        for place, original in enumerate(editor.default.messages):
            role, text = original["role"].value(), original["template"].value()
            if place >= len(language.messages):
                language.add(MessageTemplate(role, text or ""))
            elif not language.texts[place].strip():
                prefix = language.messages[place].prefix
                filled = MessageForm(initial={"role": role, "template": text}, prefix=prefix)
                language.messages[place] = filled
        if language.messages:
            _focus(language.messages[0]["template"])


def _named(editor: VersionEditor, key: str) -> list[Language]:
    return [language for language in editor.languages if language.key == key]


def _focus(field: BoundField) -> None:
    field.field.widget.attrs["autofocus"] = True


STEPS: dict[str, Callable[[VersionEditor, str], None]] = {
    "add-message": _add_message,
    "remove-message": _remove_message,
    "up": _up,
    "down": _down,
    "add-variable": _add_variable,
    "remove-variable": _remove_variable,
    "add-language": _add_language,
    "remove-language": _remove_language,
    "copy": _copy,
}
