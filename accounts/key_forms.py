"""What people fill in about a key, in the admin and on their own page."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timezone import localtime

from accounts import keys
from accounts.models import ApiKey, Organization, Scope

# How long a key may live, in days, as the page offers it.
LIFETIMES = {"30": "30 days", "90": "90 days", "365": "A year", "": "Until it is revoked"}
KEEP = "keep"
OVERLAPS = {"0": "Stops now", "1": "Works for an hour longer", "24": "Works for a day longer"}


class ScopesField(forms.MultipleChoiceField):
    """One box for each thing that a key may be used for."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, **options: Any) -> None:
        super().__init__(choices=Scope.choices, required=False, **options)


class AdminKeyForm(forms.ModelForm[ApiKey]):
    """All of a key, for staff."""

    scopes = ScopesField(help_text=ApiKey._meta.get_field("scopes").help_text)

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        user, organization = fields.get("user"), fields.get("organization")
        if user and organization and not keys.is_member(user, organization):
            self.add_error("user", f"{user} is not a member of {organization}.")
        return fields


class TermsForm(forms.ModelForm[ApiKey]):
    """What people may say of a key of theirs."""

    lifetime = forms.ChoiceField(
        choices=list(LIFETIMES.items()), required=False, initial="90", label="Works for"
    )
    scopes = ScopesField(
        label="May be used for", help_text="None ticked: everything, also what is added later."
    )

    class Meta:
        model = ApiKey
        fields = ["name", "scopes", "allowed_models", "allowed_addresses", "on_disconnect"]
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "off"}),
            "allowed_models": forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
            "allowed_addresses": forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        }
        labels = {"allowed_models": "Only these models", "allowed_addresses": "Only from"}
        help_texts = {"name": "What the key is for, so that you know it again."}

    field_order = ["name", "belongs_to", "lifetime"]

    def terms(self) -> keys.Terms:
        """Return what the key may do, and for how long."""
        filled = self.cleaned_data
        return keys.Terms(
            expires_at=self.end(),
            scopes=filled["scopes"],
            allowed_models=filled["allowed_models"],
            allowed_addresses=filled["allowed_addresses"],
            on_disconnect=filled["on_disconnect"],
        )

    def end(self) -> datetime | None:
        """Return when the key ends by itself."""
        days = self.cleaned_data["lifetime"]
        return timezone.now() + timedelta(days=int(days)) if days else None


class KeyForm(TermsForm):
    """A new key of one's own."""

    belongs_to = forms.ChoiceField(
        choices=[("me", "Me")], initial="me", help_text="Whose usage its calls are."
    )

    def __init__(self, *args: Any, organization: Organization | None = None, **options: Any):
        """Let the key be the organization's own, where one is given."""
        super().__init__(*args, **options)
        if organization is None:
            del self.fields["belongs_to"]
        else:
            choices = [("me", "Me"), ("organization", f"{organization}, nobody in particular")]
            self.fields["belongs_to"].choices = choices  # type: ignore[attr-defined]

    @property
    def is_for_organization(self) -> bool:
        return bool(self.cleaned_data.get("belongs_to") == "organization")


class ChangeKeyForm(TermsForm):
    """Other terms for a key that there is."""

    class Meta(TermsForm.Meta):
        fields = [*TermsForm.Meta.fields, "cache_mode"]
        labels = {**TermsForm.Meta.labels, "cache_mode": "Answers that were given before"}

    def __init__(self, filled: QueryDict | None = None, *, instance: ApiKey):
        """Offer to leave the key's end as it is."""
        super().__init__(filled, instance=instance)
        self._end_so_far = instance.expires_at
        lifetime = self.fields["lifetime"]
        lifetime.initial = KEEP
        lifetime.choices = [  # type: ignore[attr-defined]
            (KEEP, f"As before: {_until(instance.expires_at)}"),
            *((days, f"{label} from now" if days else label) for days, label in LIFETIMES.items()),
        ]

    def terms(self) -> keys.Terms:
        """Return what the key may do from now on, and for how long."""
        return {**super().terms(), "cache_mode": self.cleaned_data["cache_mode"]}

    def end(self) -> datetime | None:
        """Return when the key ends by itself: as before, or counted from now."""
        return self._end_so_far if self.cleaned_data["lifetime"] == KEEP else super().end()


def _until(end: datetime | None) -> str:
    if end is None:
        return "until it is revoked"
    return f"until {date_format(localtime(end), 'j M Y, H:i')}"


class RotateForm(forms.Form):
    """What becomes of the secret that is replaced."""

    overlap = forms.ChoiceField(
        choices=list(OVERLAPS.items()), initial="24", label="The old secret"
    )

    def overlap_asked(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["overlap"]))
