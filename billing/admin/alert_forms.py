"""What is asked of staff about alerts."""

from typing import Any

from django import forms
from django.core.validators import RegexValidator

from billing.alerts import channels, webhook
from billing.models import AlertChannel, AlertRule, ChannelKind
from billing.models.alerts import MOST_PERCENT


class AlertChannelForm(forms.ModelForm[AlertChannel]):
    """Takes new secrets and never shows the stored ones; makes one where none is given."""

    new_url = forms.CharField(
        label="Address",
        required=False,
        max_length=2000,
        validators=[RegexValidator(r"^https?://[^\s/]+", "It begins with https:// or http://.")],
        widget=forms.TextInput(attrs={"class": "vLargeTextField", "autocomplete": "off"}),
        help_text="Stored encrypted; only its host is shown again. Empty: what is stored stays.",
    )
    new_secret = forms.CharField(
        label="Signing secret",
        required=False,
        widget=forms.PasswordInput(
            attrs={"class": "vLargeTextField", "autocomplete": "new-password"}
        ),
        help_text="Of a webhook: whsec_ and 24 to 64 bytes in base64. Stored encrypted, and not "
        "shown again. Empty: what is stored stays; a new channel gets one that is shown once.",
    )
    made_secret = ""

    class Meta:
        model = AlertChannel
        fields = ["name", "kind", "addresses", "takes_operations", "is_active"]
        widgets = {"addresses": forms.Textarea(attrs={"rows": 4})}

    def clean_new_secret(self) -> str:
        secret = str(self.cleaned_data["new_secret"])
        if secret and not webhook.is_secret(secret):
            raise forms.ValidationError("It is whsec_ and 24 to 64 bytes in base64.")
        return secret

    def clean(self) -> dict[str, Any]:
        """Encrypt what is new; refuse a channel that leads nowhere."""
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        kind = fields.get("kind") or self.instance.kind
        if self.errors or kind == ChannelKind.EMAIL:
            return fields
        stored = channels.secrets_of(self.instance)
        url, secret = fields.get("new_url", ""), fields.get("new_secret", "")
        if not url and not stored.url:
            self.add_error("new_url", "Give the address.")
            return fields
        if kind == ChannelKind.WEBHOOK and not secret and not stored.signing_secret:
            secret = self.made_secret = webhook.new_secret()
        if url or secret:
            channels.set_secrets(self.instance, url=url, signing_secret=secret)
        return fields


class AlertRuleForm(forms.ModelForm[AlertRule]):
    """Takes thresholds as people write them, and keeps each once, in order."""

    thresholds = forms.CharField(
        required=False,
        initial="50, 80, 100",
        help_text="Percent of the limit, with commas between: 50, 80, 100. What is spent counts, "
        "not what is held.",
    )

    class Meta:
        model = AlertRule
        fields = ["budget", "thresholds", "on_forecast", "channels", "is_active"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            self.initial["thresholds"] = ", ".join(map(str, self.instance.thresholds))
        else:
            self.initial.pop("thresholds", None)

    def clean_thresholds(self) -> list[int]:
        parts = str(self.cleaned_data["thresholds"]).replace("%", "").split(",")
        return sorted({_percent(part.strip()) for part in parts if part.strip()})


def _percent(text: str) -> int:
    percent = int(text) if text.isdecimal() and len(text) <= 4 else 0
    if not 1 <= percent <= MOST_PERCENT:
        raise forms.ValidationError(f"“{text}” is no whole number from 1 to {MOST_PERCENT}.")
    return percent
