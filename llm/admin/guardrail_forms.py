"""The forms of guardrails: a rule with the settings of each check, and a text to try."""

from typing import Any

from django import forms
from phonenumbers import SUPPORTED_REGIONS

from accounts.models import Organization
from llm.guardrails import injection, patterns, words
from llm.guardrails import settings as rule_settings
from llm.guardrails.labels import label
from llm.guardrails.settings import KINDS, RuleSettings
from llm.guardrails.trial import Question
from llm.models import GuardrailRule, Route
from llm.models.guardrails import Action, CheckName, Direction

SURFACES = [("", "Everywhere"), ("chat", "The chat"), ("api", "The API for programs")]
KIND_CHOICES = [
    (name.label, [(kind, label(kind)) for kind in KINDS[name]])
    for name in (CheckName.PII, CheckName.SECRETS)
]
LONGEST_TRIAL = 50_000  # characters


class GuardrailRuleForm(forms.ModelForm[GuardrailRule]):
    """A rule, with a field for each setting."""

    surface = forms.ChoiceField(label="From", choices=SURFACES, required=False)
    kinds = forms.MultipleChoiceField(
        label="Look for",
        choices=KIND_CHOICES,
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text="Nothing chosen: all of them.",
    )
    region = forms.CharField(
        label="Phone numbers of",
        required=False,
        max_length=2,
        help_text="The country, in two letters, whose numbers are known without +. Empty: US.",
    )
    with_users = forms.BooleanField(
        label="Also in what people write",
        required=False,
        help_text="Otherwise only in results of tools and in what stands between &lt;document&gt; "
        "and &lt;/document&gt;.",
    )
    threshold = forms.FloatField(
        required=False,
        min_value=0,
        max_value=1,
        help_text=f"How sure it must be: 0 is any sign. Empty: {injection.THRESHOLD}.",
    )
    words = forms.CharField(
        label="Words and phrases",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=f"One a line, at most {words.MOST}. Capitals do not matter.",
    )
    patterns = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=r"Regular expressions, one a line, such as PRJ-\d{4}. Nothing that could take "
        "long: no look-around, no back references, and a group that repeats holds no choices.",
    )
    model = forms.ChoiceField(
        label="Asked model",
        required=False,
        help_text="The name of a model that moderates. Each call is asked about and paid for.",
    )

    class Meta:
        model = GuardrailRule
        fields = [
            *("name", "check_name", "action", "direction", "is_active"),
            *("organization", "prompt_name", "surface", "position"),
        ]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        stored = rule_settings.read(self.instance.settings)
        names = [*Route.objects.order_by("alias").values_list("alias", flat=True), stored.model]
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - it is declared above
        field.choices = [("", "—"), *((name, name) for name in dict.fromkeys(filter(None, names)))]
        for name in stored.__struct_fields__:
            value = getattr(stored, name)
            self.initial[name] = "\n".join(value) if name in ("words", "patterns") else value

    def clean_region(self) -> str:
        region = str(self.cleaned_data["region"]).upper() or "US"
        if region not in SUPPORTED_REGIONS:
            raise forms.ValidationError("There is no such country.")
        return region

    def clean_words(self) -> tuple[str, ...]:
        listed = _lines(self.cleaned_data["words"])
        if len(listed) > words.MOST or any(len(word) > words.LONGEST for word in listed):
            raise forms.ValidationError(
                f"At most {words.MOST} lines of at most {words.LONGEST} characters."
            )
        return listed

    def clean_patterns(self) -> tuple[str, ...]:
        listed = _lines(self.cleaned_data["patterns"])
        if len(listed) > patterns.MOST:
            raise forms.ValidationError(f"At most {patterns.MOST} lines.")
        for pattern in listed:
            try:
                patterns.check(pattern)
            except patterns.UnsafePattern as error:
                raise forms.ValidationError(f"{pattern}: {error}") from None
        return listed

    def clean(self) -> dict[str, Any]:
        """Refuse what could never do anything."""
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        check, action = fields.get("check_name"), fields.get("action")
        if check == CheckName.INJECTION and fields.get("direction") != Direction.IN:
            self.add_error("direction", "Instructions are looked for on the way to the model only.")
        if check == CheckName.MODERATION and action == Action.REDACT:
            self.add_error("action", "Moderation knows no place in a text: record or refuse.")
        if action != Action.OFF:
            self._check_settings(check, fields)
        return fields

    def save(self, commit: bool = True) -> GuardrailRule:
        check, fields = self.cleaned_data["check_name"], self.cleaned_data
        self.instance.settings = rule_settings.write(_settings(check, fields))
        return super().save(commit)

    def _check_settings(self, check: str | None, fields: dict[str, Any]) -> None:
        is_listed = any(fields.get(name) or name in self.errors for name in ("words", "patterns"))
        if check == CheckName.WORDS and not is_listed:
            self.add_error("words", "List a word or a pattern.")
        if check == CheckName.MODERATION and not fields.get("model"):
            self.add_error("model", "Choose who is asked.")
        if check in (CheckName.PII, CheckName.SECRETS):
            chosen = set(fields.get("kinds") or ())
            if chosen and not chosen & set(KINDS[check]):
                self.add_error("kinds", "Nothing of what is chosen belongs to this check.")


class TrialForm(forms.Form):
    """A text, and the call that it would be part of."""

    text = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8}), max_length=LONGEST_TRIAL, strip=False
    )
    role = forms.ChoiceField(
        label="It is",
        choices=[
            ("user", "what a person or a program asks"),
            ("tool", "the result of a tool"),
            ("assistant", "an answer of a model"),
        ],
    )
    organization = forms.ModelChoiceField(
        Organization.objects.all(), required=False, empty_label="One without rules of its own"
    )
    prompt_name = forms.CharField(label="Prompt", required=False, help_text="Empty: none.")
    surface = forms.ChoiceField(
        label="From", choices=[("", "Elsewhere"), *SURFACES[1:]], required=False
    )

    def as_question(self) -> Question:
        """Return what is asked, of a valid form."""
        fields = self.cleaned_data
        organization: Organization | None = fields["organization"]
        return Question(
            text=fields["text"],
            role=fields["role"],
            organization_id=organization.pk if organization else None,
            prompt_name=fields["prompt_name"],
            surface=fields["surface"],
        )


def _lines(text: str) -> tuple[str, ...]:
    lines = (line.strip() for line in text.splitlines())
    return tuple(dict.fromkeys(line for line in lines if line))


def _settings(check: str, fields: dict[str, Any]) -> RuleSettings:
    """Return what the check needs of the form; the rest is for the other checks."""
    kinds = tuple(kind for kind in fields["kinds"] if kind in KINDS[CheckName(check)])
    match check:
        case CheckName.PII:
            return RuleSettings(kinds=kinds, region=fields["region"])
        case CheckName.SECRETS:
            return RuleSettings(kinds=kinds)
        case CheckName.INJECTION:
            return RuleSettings(threshold=fields["threshold"], with_users=fields["with_users"])
        case CheckName.WORDS:
            return RuleSettings(words=fields["words"], patterns=fields["patterns"])
        case _:
            return RuleSettings(model=fields["model"])
