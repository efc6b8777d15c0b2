"""The page on which staff write a version: messages, variables, settings, and a note."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from django import forms
from django.core.exceptions import ValidationError

from core.errors import AppError
from prompts.checking import MAX_MESSAGES, MAX_VARIABLES
from prompts.content import (
    MessageTemplate,
    ModelSettings,
    PromptContent,
    Role,
    Variable,
    VariableType,
)
from prompts.models import PromptVersion
from prompts.rendering import compile_content, declare_missing

ROLES = [(role, role.capitalize()) for role in get_args(Role)]
TYPES = [(kind, kind) for kind in get_args(VariableType)]


class MessageForm(forms.Form):
    role = forms.ChoiceField(choices=ROLES, initial="user")
    template = forms.CharField(
        label="Text",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "true"}),
    )

    def message(self) -> MessageTemplate | None:
        """Return the message, or `None` where nothing was written."""
        text = self.cleaned_data.get("template", "").replace("\r\n", "\n")
        return MessageTemplate(self.cleaned_data["role"], text) if text.strip() else None


class VariableForm(forms.Form):
    name = forms.CharField(max_length=100)
    type = forms.ChoiceField(choices=TYPES, initial="text")
    required = forms.BooleanField(required=False, initial=True)
    default = forms.CharField(
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "none"}),
        help_text="If not required. JSON, except for text.",
    )

    def clean_default(self) -> Any:
        text = self.cleaned_data["default"]
        if not text:
            return None
        if self.cleaned_data.get("type") == "text":
            return text
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise ValidationError("This is not JSON.") from None

    def variable(self) -> Variable | None:
        """Return the variable, or `None` where the row was left empty or is to be removed."""
        fields = {name: value for name, value in self.cleaned_data.items() if name != "DELETE"}
        return Variable(**fields) if fields and not self.cleaned_data.get("DELETE") else None


class SettingsForm(forms.Form):
    temperature = forms.FloatField(
        required=False, min_value=0, max_value=2, help_text="Empty: as the caller has it."
    )
    max_tokens = forms.IntegerField(
        label="Output tokens, at most",
        required=False,
        min_value=1,
        max_value=10_000_000,
        help_text="Empty: as the caller has it.",
    )
    note = forms.CharField(
        required=False,
        max_length=300,
        help_text="What changed, and why.",
        widget=forms.TextInput(attrs={"placeholder": "Shorter answers"}),
    )


MessageFormSet = forms.formset_factory(
    MessageForm, extra=2, max_num=MAX_MESSAGES, validate_max=True
)
VariableFormSet = forms.formset_factory(
    VariableForm,
    extra=2,
    can_delete=True,
    can_delete_extra=False,
    max_num=MAX_VARIABLES,
    validate_max=True,
)


class VersionEditor:
    """The forms of one version together: filled from an older one, read into `content`."""

    def __init__(
        self, start: PromptVersion | None = None, sent: Mapping[str, Any] | None = None
    ) -> None:
        old = start.content.stored() if start else {}
        self.messages = MessageFormSet(
            sent, prefix="messages", initial=old.get("messages") or [{"role": "system"}]
        )
        self.variables = VariableFormSet(
            sent, prefix="variables", initial=[_as_row(one) for one in old.get("variables", [])]
        )
        self.settings = SettingsForm(sent, initial=old.get("settings"))
        self.content = PromptContent(messages=())
        self.found: list[str] = []  # variables that the text uses and nobody had declared
        self.problem = ""

    @property
    def has_more_messages(self) -> bool:
        return _has_entries(self.messages)

    @property
    def has_more_variables(self) -> bool:
        return _has_entries(self.variables)

    @property
    def note(self) -> str:
        return str(self.settings.cleaned_data["note"])

    def is_valid(self) -> bool:
        """Read what was sent into `content`; say what is wrong with it in `problem`."""
        # Each is asked, so that each shows its errors.
        forms_are_valid = [
            part.is_valid() for part in (self.messages, self.variables, self.settings)
        ]
        if not all(forms_are_valid):
            self.problem = "Some fields are wrong; each says what it needs."
            return False
        try:
            written = self._read()
            self.content = declare_missing(written)
            compile_content(self.content)
            added = self.content.variables[len(written.variables) :]
            self.found = [variable.name for variable in added]
        except AppError as error:
            self.problem = error.message
        return not self.problem

    def _read(self) -> PromptContent:
        settings = self.settings.cleaned_data
        messages = (form.message() for form in self.messages)
        variables = (form.variable() for form in self.variables)
        return PromptContent(
            messages=tuple(message for message in messages if message),
            variables=tuple(variable for variable in variables if variable),
            settings=ModelSettings(settings["temperature"], settings["max_tokens"]),
        )


def _has_entries(rows: Any) -> bool:
    """Return whether somebody wrote into the empty rows of a formset."""
    return rows.is_bound and any(form.has_changed() for form in rows.extra_forms)


def _as_row(variable: dict[str, Any]) -> dict[str, Any]:
    default = variable["default"]
    if default is None or variable["type"] == "text":
        return variable
    return {**variable, "default": json.dumps(default, ensure_ascii=False)}
