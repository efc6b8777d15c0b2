"""A field for each variable, to try out a prompt with; what is left empty gets an example."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from prompts.admin.editing import texts
from prompts.content import Variable, VariableType
from prompts.engine.surroundings import KNOWN

PREFIX = "sample"
SHORT = {"rows": 1, "spellcheck": "false"}


_EXAMPLES: dict[VariableType, Callable[[Variable], Any]] = {
    "text": lambda variable: f"[{variable.name}]"[: variable.max_length],
    "number": lambda variable: 1,
    "boolean": lambda variable: True,
    "choice": lambda variable: next(iter(variable.options), ""),  # it may have none yet
    "list": lambda variable: ["one", "two"][: variable.max_length],
    "json": lambda variable: {},
}


class SampleForm(forms.Form):
    """Sample values; `offered` is what callers send without being asked for it."""

    use_required_attribute = False

    def __init__(
        self, variables: Iterable[Variable], offered: Mapping[str, Any], sent: Mapping[str, Any]
    ) -> None:
        super().__init__(sent, prefix=PREFIX)
        self.variables = {variable.name: variable for variable in variables}
        self.offered = offered
        for name, variable in self.variables.items():
            self.fields[name] = self._field(variable)

    def values(self) -> dict[str, Any]:
        """Return the values; a field that cannot be read has its error, and its example then."""
        self.full_clean()
        found = {}
        for name, variable in self.variables.items():
            text = self.cleaned_data.get(name, "")
            try:
                value = texts.read_value(variable.type, text) if text else self._example(variable)
            except ValidationError as error:
                self.add_error(name, error)
                value = self._example(variable)
            if value is not None:
                found[name] = value
        return found

    @property
    def mistakes(self) -> dict[str, list[str]]:
        """Return what is wrong with the fields, by their ids."""
        return {
            str(self[name].id_for_label): [str(error) for error in errors]
            for name, errors in self.errors.items()
        }

    def _field(self, variable: Variable) -> forms.Field:
        options: tuple[str, ...] = variable.options
        if variable.type == "boolean":
            options = ("true", "false")
        if variable.type in ("boolean", "choice"):
            choices = [("", self._hint(variable)), *((one, one) for one in options)]
            field: forms.Field = forms.ChoiceField(choices=choices, required=False)
        else:
            widget = forms.Textarea(attrs={**SHORT, "placeholder": self._hint(variable)})
            field = forms.CharField(required=False, strip=False, widget=widget)
        field.label = variable.name
        return field

    def _hint(self, variable: Variable) -> str:
        """Say what an empty field stands for."""
        if self._is_known(variable):
            return "as it is when called"
        value = self._example(variable) if variable.required else variable.default
        return "left out" if value is None else texts.write_value(variable.type, value)

    def _example(self, variable: Variable) -> Any:
        """Return a value that shows where it stands; `None` for what need not be given."""
        if not variable.required or self._is_known(variable):
            return None
        return _EXAMPLES[variable.type](variable)

    def _is_known(self, variable: Variable) -> bool:
        return variable.name in self.offered or (variable.name in KNOWN and variable.type == "text")
