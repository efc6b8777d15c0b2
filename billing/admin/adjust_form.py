"""The form of one adjustment by hand."""

from typing import Any

from django import forms

from accounts.models import ApiKey, Organization, User
from billing.corrections import posting
from billing.models import Adjustment, Correction


class DayInput(forms.DateInput):
    """The browser's own calendar."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class WideText(forms.TextInput):
    """A line as wide as the admin's others."""

    def __init__(self) -> None:
        super().__init__({"class": "vTextField"})


class AdjustForm(forms.Form):
    """What is added to what was spent, where, and why."""

    reason = forms.CharField(
        max_length=500, widget=WideText, help_text="Why; people read it in a year."
    )
    amount_usd = forms.DecimalField(
        label="Amount, USD",
        max_digits=20,
        decimal_places=12,
        help_text="What is added to what was spent; with a minus sign, what is taken from it.",
    )
    day = forms.DateField(
        widget=DayInput, help_text="The day it belongs to, in each budget's own calendar."
    )
    organization = forms.ModelChoiceField(Organization.objects.all())
    user = forms.ModelChoiceField(
        User.objects.order_by("username"),
        required=False,
        help_text="Whose call it was, if it is one person's.",
    )
    api_key = forms.ModelChoiceField(ApiKey.objects.all(), required=False, label="API key")
    prompt_name = forms.CharField(max_length=100, required=False, widget=WideText, label="Prompt")
    model_asked = forms.CharField(
        max_length=200,
        required=False,
        widget=WideText,
        label="Model that was asked for",
        help_text="Budgets for a model go by this name.",
    )
    provider = forms.CharField(max_length=100, required=False, widget=WideText)
    model_served = forms.CharField(
        max_length=200, required=False, widget=WideText, label="Model that answered"
    )

    def clean_amount_usd(self) -> Any:
        """Refuse nothing."""
        amount = self.cleaned_data["amount_usd"]
        if amount == 0:
            raise forms.ValidationError("It has to be more or less than nothing.")
        return amount

    def clean(self) -> dict[str, Any]:
        """Refuse a person or a key of another organization: no budget would count it."""
        values: dict[str, Any] = super().clean() or {}
        organization, user, key = (values.get(name) for name in ("organization", "user", "api_key"))
        if organization and user and not user.memberships.filter(organization=organization):
            self.add_error("user", "This person is not a member of the organization.")
        if organization and key and key.organization_id != organization.pk:
            self.add_error("api_key", "This key belongs to another organization.")
        return values

    def propose(self, by: Any) -> Correction:
        """Write the correction down for a second person."""
        values = dict(self.cleaned_data)
        reason, user, key = (values.pop(name) for name in ("reason", "user", "api_key"))
        row = Adjustment(
            **values,
            user_id=user.pk if user else None,
            user_name=user.username if user else "",
            api_key_id=key.pk if key else None,
            api_key_prefix=key.prefix if key else "",
        )
        return posting.propose(by=by, reason=reason, adjustments=[row])
