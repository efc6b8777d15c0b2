"""The form of the playground: which columns, which values, and what is said after the prompt."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import TooManyFieldsSent, ValidationError
from django.http import QueryDict

from core.errors import AppError, InvalidRequest
from llm.types import Message, ModelOffer
from prompts.admin.editing import texts
from prompts.content import LONGEST_LOCALE, Variable
from prompts.engine import variables
from prompts.engine.surroundings import KNOWN
from prompts.labelled import LabelKey, load
from prompts.models import PRODUCTION, Prompt
from prompts.playground.questions import MOST_COLUMNS, Question
from prompts.testing.cases import MOST_MESSAGES

OFFERED = {"user_name", "organization"}  # what the playground tells a prompt without being asked
MESSAGES = 3  # fields for further messages
ROLES = [("user", "User"), ("assistant", "Assistant")]
OWN_MODEL = "the version’s own"


class ColumnForm(forms.Form):
    """A version and a model; without a version the column is not used."""

    version = forms.TypedChoiceField(coerce=int, empty_value=None, required=False)
    model = forms.ChoiceField(required=False)
    temperature = forms.FloatField(required=False, min_value=0, max_value=2)
    max_tokens = forms.IntegerField(
        label="Most tokens of output", required=False, min_value=1, max_value=10_000_000
    )

    def __init__(
        self,
        *args: Any,
        versions: Sequence[tuple[int, str]],
        models: Sequence[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        version: Any = self.fields["version"]
        version.choices = [("", "none"), *versions]
        model: Any = self.fields["model"]
        model.choices = [("", OWN_MODEL), *((name, name) for name in models)]
        for name in ("temperature", "max_tokens"):
            self.fields[name].widget.attrs["placeholder"] = "as the version"


class MessageForm(forms.Form):
    """What is said after the prompt's own words; an empty one is left out."""

    role = forms.ChoiceField(choices=ROLES, initial="user")
    content = forms.CharField(
        label="Message", required=False, strip=False, widget=forms.Textarea(attrs={"rows": 3})
    )


class LanguageForm(forms.Form):
    locale = forms.RegexField(
        r"^[A-Za-z0-9-]*\Z",
        label="Language",
        required=False,
        max_length=LONGEST_LOCALE,
        widget=forms.TextInput(attrs={"placeholder": "as written", "list": "languages"}),
        error_messages={"invalid": "A language is a tag like de or pt-BR."},
    )


class ValuesForm(forms.Form):
    """A field for each variable of the versions that were chosen."""

    use_required_attribute = False

    def __init__(self, declared: Iterable[Variable], sent: Mapping[str, Any] | None) -> None:
        super().__init__(sent, prefix="variable")
        self.declared: dict[str, Variable] = {}
        for variable in declared:
            # Where versions differ in its type, the first gives the field; each reads its own.
            self.declared.setdefault(variable.name, variable)
        for name, variable in self.declared.items():
            self.fields[name] = _field(variable)

    def values(self, declared: Iterable[Variable]) -> dict[str, Any]:
        """Return what is given to these variables; what is wrong is said at its field."""
        found = {}
        for variable in declared:
            text = self.cleaned_data.get(variable.name, "")
            if text or _is_needed(variable):
                try:
                    found[variable.name] = _read(variable, text)
                except ValidationError as error:
                    if variable.name not in self.errors:
                        self.add_error(variable.name, error)
        return found


ColumnFormSet = forms.formset_factory(
    ColumnForm, extra=0, max_num=MOST_COLUMNS, absolute_max=MOST_COLUMNS + 1, validate_max=True
)
MessageFormSet = forms.formset_factory(
    MessageForm, extra=0, max_num=MOST_MESSAGES, validate_max=True
)


class Playground:
    """The forms of the page together, filled from the page before or as they begin."""

    def __init__(
        self,
        prompt: Prompt,
        offers: Sequence[ModelOffer],
        sent: QueryDict | None = None,
        asked: Sequence[str] = (),
    ) -> None:
        self.prompt = prompt
        models = [offer.id for offer in offers]
        self.choices = _choices(prompt)
        self._numbers = {str(number): number for number, _ in self.choices}
        versions = [self._numbers[one] for one in asked if one in self._numbers]
        self.columns = ColumnFormSet(
            sent,
            prefix="columns",
            initial=_start(prompt, versions or _telling(self.choices), models),
            form_kwargs={"versions": self.choices, "models": models},
        )
        self.messages = MessageFormSet(sent, prefix="messages", initial=[{}] * MESSAGES)
        self.language = LanguageForm(sent)
        self.locales: list[str] = []
        self.problem = ""  # with the whole
        self._declared: dict[int, tuple[Variable, ...]] = self._load()
        self.values = ValuesForm((one for each in self._declared.values() for one in each), sent)

    def questions(self) -> list[Question]:
        """Return what each column asks, or raise `InvalidRequest`; each field says its error."""
        self._check()
        questions = [
            question
            for place, form in enumerate(self.columns.forms)
            if (question := self._question(place, form.cleaned_data))
        ]
        if not questions:
            self.problem = "Choose a version for at least one column."
        if self.problem or self.values.errors:
            raise InvalidRequest(self.problem or self._mistakes())
        return questions

    def case(self) -> dict[str, Any]:
        """Return the values and messages as a case of a dataset has them."""
        self._check()
        given = self.values.values(self.values.declared.values())
        if self.values.errors:
            raise InvalidRequest(self._mistakes())
        messages = [{"role": one.role, "content": one.content} for one in self._said()]
        locale = self.language.cleaned_data["locale"]
        return {"variables": given, "messages": messages, "locale": locale}

    def _check(self) -> None:
        parts = (self.columns, self.messages, self.language, self.values)
        if not all([part.is_valid() for part in parts]):  # noqa: C419 - each shows its errors
            raise InvalidRequest(self._mistakes())

    def _question(self, place: int, column: Mapping[str, Any]) -> Question | None:
        number = column.get("version")
        if number is None or number not in self._declared:
            return None
        return Question(
            place=place,
            prompt=self.prompt.name,
            version=number,
            model=column["model"],
            temperature=column["temperature"],
            max_tokens=column["max_tokens"],
            variables=self.values.values(self._declared[number]),
            locale=self.language.cleaned_data["locale"],
            messages=self._said(),
        )

    def _said(self) -> tuple[Message, ...]:
        rows = (form.cleaned_data for form in self.messages)
        return tuple(
            Message(row["role"], texts.unix(row["content"]))
            for row in rows
            if row.get("content", "").strip()
        )

    def _load(self) -> dict[int, tuple[Variable, ...]]:
        """Return the variables of each version that is chosen, with those of what it includes."""
        found = {}
        for form in self.columns.forms:
            number = self._numbers.get(str(form["version"].value()))
            if number is None:
                continue
            key = LabelKey(self.prompt.organization_id, self.prompt.name, PRODUCTION, number)
            try:
                whole = load(key).whole
            except AppError as error:
                self.problem = f"Version {number}: {error.message}"
                continue
            found[number] = whole.variables
            tags = (whole.content.default_locale, *whole.content.locales)
            self.locales += [tag for tag in tags if tag not in self.locales]
        return found

    def _mistakes(self) -> str:
        """Return all that is wrong in a sentence for each field."""
        found = [str(text) for text in self.columns.non_form_errors()]
        for number, form in enumerate(self.columns.forms, start=1):
            found += [f"Column {number}, {text}" for text in _told(form)]
        for part in (*self.messages.forms, self.language, self.values):
            found += _told(part)
        return " ".join(found) or "Something is wrong with the form; load the page again."


def read(form: str, prompt: Prompt, offers: Sequence[ModelOffer]) -> list[Question]:
    """Return what the page's form asks, encoded as a browser sends it; raise `InvalidRequest`."""
    try:
        sent = QueryDict(form)
    except TooManyFieldsSent:
        raise InvalidRequest("The form has too many fields.") from None
    return Playground(prompt, offers, sent).questions()


def _choices(prompt: Prompt) -> list[tuple[int, str]]:
    """Return the versions, newest first, each with its labels and its note."""
    labels: dict[int, list[str]] = {}
    for number, name in prompt.labels.order_by("name").values_list("version__number", "name"):
        labels.setdefault(number, []).append(name)
    versions = prompt.versions.newest_first().values_list("number", "note")
    return [
        (number, " · ".join(filter(None, (str(number), ", ".join(labels.get(number, [])), note))))
        for number, note in versions
    ]


def _telling(choices: Sequence[tuple[int, str]]) -> list[int]:
    """Return the versions that are worth comparing: the newest, and the one before."""
    return sorted(number for number, _ in choices[:2])


def _start(prompt: Prompt, numbers: Sequence[int], models: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the columns begin with: a model where the version has none of its own."""
    own = {
        version.number: version.content.settings.model
        for version in prompt.versions.filter(number__in=numbers[:MOST_COLUMNS])
    }
    usual = next(iter(models), "")
    chosen: list[dict[str, Any]] = [
        {"version": number, "model": "" if own[number] else usual}
        for number in numbers[:MOST_COLUMNS]
    ]
    unused: dict[str, Any] = {"model": usual}
    return [*chosen, *[unused] * (MOST_COLUMNS - len(chosen))]


def _field(variable: Variable) -> forms.Field:
    if variable.type in ("boolean", "choice"):
        options = ("true", "false") if variable.type == "boolean" else variable.options
        choices = [("", _hint(variable)), *((one, one) for one in options)]
        return forms.ChoiceField(label=variable.name, choices=choices, required=False)
    widget: forms.Widget = forms.TextInput(attrs={"inputmode": "decimal"})
    if variable.type != "number":
        widget = forms.Textarea(attrs={"rows": 1 if variable.type == "text" else 3})
    widget.attrs["placeholder"] = _hint(variable)
    return forms.CharField(
        label=variable.name,
        required=False,
        strip=False,
        widget=widget,
        help_text={"list": "A line for each item, or JSON.", "json": "JSON."}.get(
            variable.type, ""
        ),
    )


def _hint(variable: Variable) -> str:
    """Say what an empty field stands for."""
    if _is_known(variable):
        return "as it is when called"
    if variable.required:
        return "" if variable.type == "text" else "needs a value"
    if variable.default is None:
        return "left out"
    return texts.write_value(variable.type, variable.default)


def _is_known(variable: Variable) -> bool:
    """Return whether a call brings the value by itself."""
    return variable.name in OFFERED or (variable.name in KNOWN and variable.type == "text")


def _is_needed(variable: Variable) -> bool:
    return variable.required and not _is_known(variable)


def _read(variable: Variable, text: str) -> Any:
    """Return the value as the variable has it, or raise `ValidationError`."""
    if not text and variable.type not in ("text", "list"):
        raise ValidationError("This needs a value.")
    value = texts.read_value(variable.type, text)
    if reason := variables.misfit(variable, value):
        raise ValidationError(f"This {reason[1]}.")
    return value


def _told(form: forms.Form) -> list[str]:
    return [
        f"{form[name].label}: {text}" if name in form.fields else str(text)
        for name, found in form.errors.items()
        for text in found
    ]
