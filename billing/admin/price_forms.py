"""What staff fill in about prices: the price with its tiers, and a call to try it on."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.forms import BaseInlineFormSet
from django.utils import timezone

from billing.models import Price, PriceTier
from billing.models.prices import RATES
from billing.pricing import MOST_TOKENS, PriceSnapshot, Tier, TokenUsage

FIRST_SAMPLE = {"input_tokens": 10_000, "output_tokens": 1_000}


class PriceForm(forms.ModelForm[Price]):
    """A price to be added; it may begin later, or have begun."""

    valid_from = forms.SplitDateTimeField(
        label="From",
        required=False,
        widget=AdminSplitDateTime(),
        help_text="Empty: from now on. What was booked before keeps its price.",
    )

    class Meta:
        model = Price
        fields = ["provider", "model", "request_usd", *RATES]

    def clean(self) -> dict[str, Any]:
        """Refuse a second price from one moment on."""
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        begins = fields.get("valid_from")
        known = Price.objects.of(fields.get("provider", ""), fields.get("model", ""))
        if begins and known.filter(valid_from=begins).exists():
            self.add_error("valid_from", "Another price of this model begins then.")
        self.instance.valid_from = begins or timezone.now()
        return fields

    def snapshot(self, tiers: tuple[Tier, ...] = ()) -> PriceSnapshot:
        """Return the price that the fields describe."""
        return PriceSnapshot(
            **{name: self.cleaned_data[name] for name in RATES},
            request_usd=self.cleaned_data["request_usd"],
            tiers=tiers,
        )


class UnsavedPriceForm(PriceForm):
    """The same, to be shown again with what a call costs: nothing is saved."""

    def is_valid(self) -> bool:
        super().is_valid()
        return False


class TierFormSet(BaseInlineFormSet[PriceTier, Price, forms.ModelForm[PriceTier]]):
    """The tiers of a price to be added."""

    def clean(self) -> None:
        """Refuse a service tier that has rates for long calls only."""
        super().clean()
        places = {(tier.service_tier, tier.above_tokens) for tier in self.snapshots()}
        for name in sorted({name for name, _ in places if name}):
            if (name, 0) not in places:
                raise forms.ValidationError(
                    f"Give {name} its rates from 0 tokens of input on as well."
                )

    def snapshots(self) -> tuple[Tier, ...]:
        """Return the tiers that the rows describe, the lowest threshold first."""
        filled = [
            form.instance.snapshot()
            for form in self.forms
            if form.has_changed() and form.is_valid() and not form.cleaned_data.get("DELETE")
        ]
        return tuple(sorted(filled, key=lambda tier: (tier.above_tokens, tier.service_tier)))


def _tokens(label: str) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=0, max_value=MOST_TOKENS, required=False)


class SampleForm(forms.Form):
    """A call to try a price on: tokens by class, each counted once."""

    input_tokens = _tokens("Input, tokens")
    cached_input_tokens = _tokens("Cached input, tokens")
    cache_write_tokens = _tokens("Cache write, tokens")
    cache_write_1h_tokens = _tokens("Cache write for an hour, tokens")
    output_tokens = _tokens("Output, tokens")
    reasoning_tokens = _tokens("Reasoning, tokens")
    audio_input_tokens = _tokens("Audio input, tokens")
    audio_output_tokens = _tokens("Audio output, tokens")
    image_input_tokens = _tokens("Image input, tokens")
    image_output_tokens = _tokens("Image output, tokens")
    service_tier = forms.CharField(
        max_length=20, required=False, help_text="Like flex, priority or batch. Empty: ordinary."
    )

    def usage(self) -> TokenUsage:
        """Return the tokens that the fields name."""
        fields = {name: tokens or 0 for name, tokens in self.cleaned_data.items()}
        del fields["service_tier"]
        return TokenUsage(**fields)
