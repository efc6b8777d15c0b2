"""The fields of a version; what they hold together is checked by `reading`."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec
from django import forms
from django.core.exceptions import ValidationError

from llm.types import FunctionDefinition, Tool
from prompts.admin.editing import texts
from prompts.content import (
    LONGEST_LOCALE,
    MessageTemplate,
    ModelSettings,
    OutputSchema,
    Role,
    Variable,
    VariableType,
)
from prompts.engine import locales
from prompts.engine.checking import EFFORTS

ROLES = [(role, role.capitalize()) for role in get_args(Role)]
TYPES = [
    *(("text", "Text"), ("number", "Number"), ("boolean", "True or false")),
    *(("choice", "Choice"), ("list", "List"), ("json", "JSON")),
]
REQUIRED, NOTHING, VALUE = "required", "nothing", "value"
WHEN_LEFT_OUT = [(REQUIRED, "Is an error"), (NOTHING, "Is nothing"), (VALUE, "Has this value")]
AS_CALLED = "Empty: as the caller has it."
TOOL_FIELDS = {"type", "function"}


def area(rows: int, **attrs: str) -> forms.Textarea:
    """Return a text area for what is code rather than prose."""
    return forms.Textarea(attrs={"rows": rows, "spellcheck": "false", **attrs})


class PartForm(forms.Form):
    """A part of the version; an error marks the field that it is about."""

    use_required_attribute = False

    @classmethod
    def sent(cls, sent: Mapping[str, Any], prefix: str, *, is_checked: bool) -> Any:
        """Return the form as it was filled in; unless it is to be checked, it shows no errors."""
        if is_checked:
            return cls(sent, prefix=prefix, empty_permitted=cls.is_row)
        form = cls(prefix=prefix)
        form.initial = {
            name: field.widget.value_from_datadict(sent, {}, form.add_prefix(name))
            for name, field in form.fields.items()
        }
        return form

    is_row = False  # one that was added and not filled in counts for nothing


class MessageForm(PartForm):
    role = forms.ChoiceField(choices=ROLES, initial="user")
    template = forms.CharField(
        label="Text",
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={
                "rows": 8,
                "spellcheck": "true",
                "class": "editor-text",
                "placeholder": "You help people with their orders. Be kind to {{ name }}.",
            }
        ),
    )

    def message(self) -> MessageTemplate | None:
        """Return the message; `None` where nothing was written."""
        text = texts.unix(self.cleaned_data.get("template", ""))
        if not text.strip() or "role" not in self.cleaned_data:
            return None
        return MessageTemplate(self.cleaned_data["role"], text)


class LanguageForm(PartForm):
    tag = forms.CharField(
        label="Language",
        max_length=LONGEST_LOCALE,
        widget=forms.TextInput(
            attrs={"list": "editor-languages", "size": 8, "autocomplete": "off"}
        ),
    )

    def clean_tag(self) -> str:
        tag: str = self.cleaned_data["tag"]
        return locales.canonical(tag) or tag


class VariableForm(PartForm):
    is_row = True
    name = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    type = forms.ChoiceField(choices=TYPES, initial="text")
    left_out = forms.ChoiceField(
        label="If left out", choices=WHEN_LEFT_OUT, initial=REQUIRED, required=False
    )
    default = forms.CharField(
        label="Value", required=False, strip=False, widget=area(1), help_text="As JSON."
    )
    options = forms.CharField(
        required=False, strip=False, widget=area(3), help_text="One on each line."
    )
    may_be_empty = forms.BooleanField(label="May be empty", required=False, initial=True)
    max_length = forms.IntegerField(label="Longest", required=False, help_text="Empty: any length.")

    @classmethod
    def filled(cls, variable: Variable, prefix: str) -> "VariableForm":
        """Return the row of a variable."""
        has_value = variable.default is not None
        shown = {
            **msgspec.structs.asdict(variable),
            "left_out": REQUIRED if variable.required else VALUE if has_value else NOTHING,
            "default": texts.write_value(variable.type, variable.default) if has_value else "",
            "options": texts.write_lines(variable.options),
        }
        return cls(initial=shown, prefix=prefix)

    def clean_options(self) -> tuple[str, ...]:
        is_choice = self.cleaned_data.get("type") == "choice"
        return texts.read_lines(self.cleaned_data["options"]) if is_choice else ()

    def clean(self) -> dict[str, Any]:
        """Read the default as its type asks for."""
        fields = self.cleaned_data
        default, fields["default"] = fields.get("default", ""), None
        if fields.get("left_out") == VALUE and "type" in fields:
            try:
                fields["default"] = texts.read_value(fields["type"], default)
            except ValidationError as error:
                self.add_error("default", error)
        return fields

    def variable(self) -> Variable | None:
        """Return the variable; `None` for a row that was not filled in."""
        fields = self.cleaned_data
        if not fields.get("name"):
            return None
        kind: VariableType = fields["type"]
        is_measured = kind in ("text", "list")  # the fields of other types are not shown
        return Variable(
            name=fields["name"],
            type=kind,
            required=fields["left_out"] not in (NOTHING, VALUE),
            default=fields["default"],
            options=fields["options"],
            may_be_empty=fields["may_be_empty"] if is_measured else True,
            max_length=fields["max_length"] if is_measured else None,
        )


class SettingsForm(PartForm):
    model = forms.CharField(
        required=False,
        help_text="Asked for where the caller names none.",
        widget=forms.TextInput(attrs={"list": "editor-models", "autocomplete": "off"}),
    )
    temperature = forms.FloatField(required=False, help_text=AS_CALLED)
    top_p = forms.FloatField(label="Top-p", required=False, help_text=AS_CALLED)
    max_tokens = forms.IntegerField(
        label="Output tokens, at most", required=False, help_text=AS_CALLED
    )
    seed = forms.IntegerField(required=False, help_text="The same words, as far as possible.")
    reasoning_effort = forms.ChoiceField(
        required=False, choices=[("", "As the caller has it"), *((one, one) for one in EFFORTS)]
    )
    stop = forms.CharField(
        label="Stop at",
        required=False,
        strip=False,
        widget=area(2),
        help_text='One text on each line, or a JSON list like ["\\n"].',
    )

    @classmethod
    def filled(cls, settings: ModelSettings, prefix: str) -> "SettingsForm":
        """Return the fields of a version's settings."""
        shown = msgspec.structs.asdict(settings) | {"stop": texts.write_lines(settings.stop)}
        return cls(initial=shown, prefix=prefix)

    def clean_stop(self) -> tuple[str, ...]:
        return texts.read_lines(self.cleaned_data["stop"])

    def settings(self) -> ModelSettings:
        """Return the settings."""
        fields = self.cleaned_data
        return ModelSettings(
            **{
                **fields,
                "model": fields["model"] or None,
                "reasoning_effort": fields["reasoning_effort"] or None,
            }
        )


class ToolsForm(PartForm):
    tools = forms.CharField(
        required=False,
        strip=False,
        widget=area(10, placeholder='[{"type": "function", "function": {"name": "weather"}}]'),
        help_text="A JSON list, as OpenAI's API takes it.",
    )

    @classmethod
    def filled(cls, tools: Sequence[Tool], prefix: str) -> "ToolsForm":
        """Return the field of a version's tools."""
        shown = texts.write_json(msgspec.to_builtins(tools)) if tools else ""
        return cls(initial={"tools": shown}, prefix=prefix)

    def clean_tools(self) -> tuple[Tool, ...]:
        """Return the tools, of which nothing that was written is lost."""
        text = self.cleaned_data["tools"]
        if not text.strip():
            return ()
        written = texts.read_json(text)
        try:
            tools = msgspec.convert(written, tuple[Tool, ...])
        except msgspec.ValidationError as error:
            raise ValidationError(_plain(str(error))) from None
        known = set(FunctionDefinition.__struct_fields__)
        unknown = {
            name
            for tool in written
            for name in (tool.keys() - TOOL_FIELDS) | (tool["function"].keys() - known)
        }
        if unknown:
            names = texts.sentence(f"“{name}”" for name in sorted(unknown))
            raise ValidationError(f"A tool has no {names}.")
        return tools


class SchemaForm(PartForm):
    name = forms.CharField(required=False, help_text="Like answer.")
    schema = forms.CharField(
        label="JSON schema",
        required=False,
        strip=False,
        widget=area(
            10, placeholder='{"type": "object", "properties": {"answer": {"type": "string"}}}'
        ),
        help_text="Empty: the answer is free text.",
    )
    strict = forms.BooleanField(label="Keep to it strictly", required=False, initial=True)

    @classmethod
    def filled(cls, wanted: OutputSchema | None, prefix: str) -> "SchemaForm":
        """Return the fields of what a version wants as an answer."""
        if wanted is None:
            return cls(prefix=prefix)
        shown = {
            **msgspec.structs.asdict(wanted),
            "schema": texts.write_json(wanted.schema),
        }
        return cls(initial=shown, prefix=prefix)

    def clean_schema(self) -> dict[str, Any] | None:
        text = self.cleaned_data["schema"]
        if not text.strip():
            return None
        schema = texts.read_json(text)
        if not isinstance(schema, dict):
            raise ValidationError("A schema is a JSON object: it begins with { and ends with }.")
        return schema

    def clean(self) -> dict[str, Any]:
        """Let no name stand alone: it would be lost."""
        fields = self.cleaned_data
        if fields.get("name") and fields.get("schema", {}) is None:
            self.add_error("schema", "Write the schema, or empty its name.")
        return fields

    def wanted(self) -> OutputSchema | None:
        """Return the schema; `None` where there is none."""
        fields = self.cleaned_data
        if fields["schema"] is None:
            return None
        return OutputSchema(fields["name"] or "answer", fields["schema"], fields["strict"])


class NoteForm(PartForm):
    note = forms.CharField(
        required=False,
        max_length=300,
        help_text="What changed, and why.",
        widget=forms.TextInput(attrs={"placeholder": "Shorter answers"}),
    )
    # The newest version when the page was opened, to notice those that others save meanwhile.
    newest = forms.IntegerField(required=False, widget=forms.HiddenInput, initial=0)


def _plain(message: str) -> str:
    """Return what a decoder says, for people."""
    reason, _, place = message.partition(" - at ")
    where = place.strip("`").removeprefix("$")
    said = f"{where}: {reason}" if where else reason
    return said.replace("`", "“", 1).replace("`", "”", 1).rstrip(".") + "."
