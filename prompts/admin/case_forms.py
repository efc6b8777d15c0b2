"""The forms of one case: its values, what is said after the prompt, and its checks."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from core.errors import AppError
from prompts.admin.editing import texts
from prompts.admin.playground_forms import MessageFormSet, ValuesForm
from prompts.content import LONGEST_LOCALE, Variable
from prompts.labelled import LabelKey, load
from prompts.models import PRODUCTION, Case, Prompt
from prompts.testing.cases import LONGEST_NAME, CaseContent, read_case
from prompts.testing.checks import MOST_CHECKS

KINDS = [
    ("contains", "Contains a text"),
    ("regex", "Matches a pattern"),
    ("equals", "Equals a text"),
    ("json_schema", "Is JSON that fits a schema"),
    ("number", "Ends in a number"),
    ("similar", "Is similar to a text"),
    ("judge", "A model judges it"),
]
MORE = 2  # empty rows for further checks
SHARE = 0.8


class NameForm(forms.Form):
    name = forms.CharField(
        max_length=LONGEST_NAME, required=False, help_text="Empty: it gets a number."
    )
    locale = forms.RegexField(
        r"^[A-Za-z0-9-]*\Z",
        label="Language",
        required=False,
        max_length=LONGEST_LOCALE,
        help_text="A tag like de. Empty: as the prompt is written.",
    )


class OtherForm(forms.Form):
    """Values that the newest version does not declare; an older one may."""

    other = forms.CharField(
        label="Values for other versions",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="JSON: an object.",
    )

    def clean_other(self) -> dict[str, Any]:
        value = texts.read_json(self.cleaned_data["other"].strip() or "{}")
        if not isinstance(value, dict):
            raise ValidationError("This is no JSON object.")
        return value


class CheckForm(forms.Form):
    """One check; which fields count depends on its kind."""

    kind = forms.ChoiceField(choices=[("", "No check"), *KINDS], required=False)
    value = forms.CharField(
        label="What is looked for",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="The text, pattern, JSON schema, number, or the rubric for the judge.",
    )
    is_absent = forms.BooleanField(label="Must not be there", required=False)
    ignores_case = forms.BooleanField(label="Capitals do not matter", required=False, initial=True)
    tolerance = forms.FloatField(label="Off by at most", required=False, min_value=0)
    threshold = forms.FloatField(
        label="Least score, 0 to 1", required=False, min_value=0, max_value=1, initial=SHARE
    )
    model = forms.CharField(
        label="Model that is asked",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"list": "models"}),
        help_text="An embedding model for likeness, else one that chats.",
    )

    def clean(self) -> dict[str, Any]:
        fields = super().clean() or {}
        kind, value = fields.get("kind"), fields.get("value", "")
        if kind and kind != "equals" and not value.strip():
            self.add_error("value", "Say what is looked for.")
        elif kind in READERS:
            try:
                fields["value"] = READERS[kind](value)
            except ValidationError as error:
                self.add_error("value", error)
        return fields

    def stored(self) -> dict[str, Any]:
        """Return the check as cases keep it."""
        fields, kind = self.cleaned_data, self.cleaned_data["kind"]
        value = fields["value"]
        found = {"kind": kind, VALUES[kind]: texts.unix(value) if isinstance(value, str) else value}
        for name in OPTIONS[kind]:
            if fields.get(name) is not None:
                found[name] = fields[name]
        return found


def _number(text: str) -> float:
    try:
        return float(text.strip().replace(",", ""))
    except ValueError:
        raise ValidationError("This is no number.") from None


# How what is typed becomes a value, where it is no text; under which name; and what else counts.
READERS: dict[str, Callable[[str], Any]] = {"number": _number, "json_schema": texts.read_json}
VALUES = {
    **{"contains": "text", "regex": "pattern", "equals": "text", "json_schema": "schema"},
    **{"number": "value", "similar": "text", "judge": "rubric"},
}
OPTIONS: dict[str, tuple[str, ...]] = {
    "contains": ("ignores_case", "is_absent"),
    "regex": ("is_absent",),
    "equals": ("ignores_case",),
    "json_schema": (),
    "number": ("tolerance",),
    "similar": ("threshold", "model"),
    "judge": ("threshold", "model"),
}

CheckFormSet = forms.formset_factory(
    CheckForm,
    extra=MORE,
    max_num=MOST_CHECKS,
    validate_max=True,
    can_delete=True,
    can_delete_extra=False,
)


class CaseEditor:
    """The forms of a case together: filled from it, and read into what it says."""

    def __init__(
        self, prompt: Prompt, case: Case | None = None, sent: Mapping[str, Any] | None = None
    ) -> None:
        self.problem = ""
        self._declared = self._load(prompt)
        names = {variable.name for variable in self._declared}
        kept: dict[str, Any] = case.variables if case else {}
        self.form = NameForm(sent, initial=_initial(case))
        self.values = ValuesForm(self._declared, sent)
        self.values.initial = {
            one.name: texts.write_value(one.type, kept[one.name])
            for one in self._declared
            if one.name in kept
        }
        others = {name: value for name, value in kept.items() if name not in names}
        self.other = OtherForm(sent, initial={"other": texts.write_json(others) if others else ""})
        said = [*case.messages] if case else []
        self.messages = MessageFormSet(sent, prefix="messages", initial=[*said, {}])
        rows = [_check_row(check) for check in case.checks] if case else []
        self.checks = CheckFormSet(sent, prefix="checks", initial=rows)

    def content(self, *, unnamed: str) -> CaseContent | None:
        """Return what was sent; `None` where the forms or `problem` say what is wrong."""
        parts = (self.form, self.values, self.other, self.messages, self.checks)
        if not all([part.is_valid() for part in parts]):  # noqa: C419 - each shows its errors
            self.problem = "Some fields are wrong; each says what it needs."
            return None
        values = self.values.values(self._declared)
        if self.values.errors:
            self.problem = "Some values do not fit the prompt's variables."
            return None
        named = self.form.cleaned_data
        try:
            return read_case(
                {
                    "name": named["name"] or unnamed,
                    "locale": named["locale"],
                    "variables": {**self.other.cleaned_data["other"], **values},
                    "messages": self._said(),
                    "checks": self._looked_at(),
                }
            )
        except AppError as error:
            self.problem = error.message
        return None

    def _said(self) -> list[dict[str, str]]:
        rows = (form.cleaned_data for form in self.messages)
        return [
            {"role": row["role"], "content": texts.unix(row["content"])}
            for row in rows
            if row.get("content", "").strip()
        ]

    def _looked_at(self) -> list[dict[str, Any]]:
        return [
            form.stored()
            for form in self.checks
            if form.cleaned_data.get("kind") and not form.cleaned_data.get("DELETE")
        ]

    def _load(self, prompt: Prompt) -> tuple[Variable, ...]:
        """Return the variables of the newest version, with those of what it includes."""
        newest = prompt.versions.newest_first().first()
        if newest is None:
            self.problem = "The prompt has no version yet: what it takes is not known."
            return ()
        key = LabelKey(prompt.organization_id, prompt.name, PRODUCTION, newest.number)
        try:
            return load(key).whole.variables
        except AppError as error:
            self.problem = f"Version {newest.number}: {error.message}"
            return newest.content.variables


def _initial(case: Case | None) -> dict[str, Any]:
    return {"name": case.name, "locale": case.locale} if case else {}


def _check_row(check: Mapping[str, Any]) -> dict[str, Any]:
    value = check.get(VALUES[check["kind"]], "")
    shown = texts.write_json(value) if isinstance(value, dict) else value
    return {"ignores_case": False, **check, "value": shown}
