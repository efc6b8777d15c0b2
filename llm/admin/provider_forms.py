"""What is asked of staff about a provider's keys."""

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet

from core import closed_addresses
from llm import credentials
from llm.models import Credential, Provider


class ProviderForm(forms.ModelForm[Provider]):
    class Meta:
        model = Provider
        fields = [
            *("name", "kind", "base_url", "api_version", "auth", "max_connections", "is_active"),
        ]
        error_messages = {"name": {"invalid": "A name has letters, digits, _ and -, no spaces."}}
        labels = {"api_version": "API version", "max_connections": "Connections at most"}

    def clean_base_url(self) -> str:
        """Refuse an address that no call would go to; what a name means is seen when calling."""
        base_url: str = self.cleaned_data["base_url"]
        try:
            host = urlsplit(base_url).hostname or ""
        except ValueError:
            raise ValidationError("This is no address.") from None
        if closed_addresses.is_closed(host):
            raise ValidationError(f"This address is never called: {closed_addresses.WHY}.")
        return base_url


class CredentialForm(forms.ModelForm[Credential]):
    """Takes a new secret and never shows the stored one."""

    new_secret = forms.CharField(
        label="New secret",
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted, and not shown again. Empty: what is stored stays.",
    )

    class Meta:
        model = Credential
        fields = ["name", "environment_variable", "weight", "is_active"]

    def clean_environment_variable(self) -> str:
        """Refuse a variable that is not for keys."""
        variable: str = self.cleaned_data["environment_variable"]
        if variable and (objection := credentials.objection(variable)):
            raise ValidationError(f"{variable} {objection}.")
        return variable

    def clean(self) -> dict[str, Any]:
        """Encrypt the new secret; refuse a key that comes from nowhere."""
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        row = self.instance
        if new_secret := fields.get("new_secret"):
            row.secret_encrypted, row.secret_key_id = credentials.encrypt(new_secret)
            row.set_aside_at, row.set_aside_reason, row.set_aside_secret = None, "", ""
        is_named = fields.get("environment_variable") or "environment_variable" in self.errors
        if not row.secret_encrypted and not is_named:
            self.add_error("new_secret", "Give a secret, or the name of a variable.")
        return fields


class CredentialFormSet(BaseInlineFormSet[Any, Any, forms.ModelForm[Any]]):
    """Refuses a provider that could not be called: better now than at the first call."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        kept = [
            form.instance
            for form in self.forms
            if not form.cleaned_data.get("DELETE") and (form.instance.pk or form.has_changed())
        ]
        if found := credentials.problems(self.instance, kept):
            raise ValidationError(found)
        self._check_address()

    def _check_address(self) -> None:
        """Let nobody read a stored secret by sending it to a server of their own."""
        before = Provider.objects.filter(pk=self.instance.pk).first()
        if before is None or _receiver(before) == _receiver(self.instance):
            return
        for form in self.forms:
            fields = form.cleaned_data
            is_kept = form.instance.secret_encrypted and not fields.get("DELETE")
            if is_kept and not fields.get("new_secret"):
                raise ValidationError(
                    "The address has changed. The stored secrets were given for the old one: "
                    "enter them again, or delete them."
                )


def _receiver(provider: Provider) -> tuple[str, str, str]:
    """Return who gets the provider's secrets."""
    address = urlsplit(provider.base_url)
    return provider.kind, address.scheme, address.netloc
