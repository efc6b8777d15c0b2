"""What people fill in about a key, in the admin and on their own page."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Organization, Scope

# How long a key may live, in days, as the page offers it.
LIFETIMES = {"30": "30 days", "90": "90 days", "365": "A year", "": "Until it is revoked"}
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


class KeyForm(forms.ModelForm[ApiKey]):
    """A new key of one's own."""

    belongs_to = forms.ChoiceField(
        choices=[("me", "Me")], initial="me", help_text="Whose usage its calls are."
    )
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

    def terms(self) -> keys.Terms:
        """Return what the new key may do, and for how long."""
        filled = self.cleaned_data
        days = filled["lifetime"]
        return keys.Terms(
            expires_at=timezone.now() + timedelta(days=int(days)) if days else None,
            scopes=filled["scopes"],
            allowed_models=filled["allowed_models"],
            allowed_addresses=filled["allowed_addresses"],
            on_disconnect=filled["on_disconnect"],
        )


class RotateForm(forms.Form):
    """What becomes of the secret that is replaced."""

    overlap = forms.ChoiceField(
        choices=list(OVERLAPS.items()), initial="24", label="The old secret"
    )

    def overlap_asked(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["overlap"]))
