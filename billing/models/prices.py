"""What providers take."""

from decimal import Decimal
from typing import Any, Self

import msgspec
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import (
    ArrayField,
    DateTimeRangeField,
    RangeBoundary,
    RangeOperators,
)
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Least
from django.db.models.lookups import GreaterThanOrEqual
from django.utils import timezone

from billing.money import UsdField, shortest
from billing.pricing import PriceSnapshot, Tier

RATES = (
    *("input_usd", "cached_input_usd", "cache_write_usd", "output_usd", "reasoning_usd"),
    *("audio_input_usd", "audio_output_usd", "cache_write_1h_usd"),
    *("image_input_usd", "image_output_usd"),
)
NOT_NEGATIVE = GreaterThanOrEqual(Least(*RATES), 0)  # an empty one is left out


class PriceQuerySet(models.QuerySet["Price"]):
    def of(self, provider: str, model: str) -> Self:
        return self.filter(provider=provider, model=model)

    def in_force(self) -> Self:
        return self.in_force_at(timezone.now())

    def in_force_at(self, moment: Any) -> Self:
        """Return the prices of that moment: one for each model at most."""
        return self.filter(
            Q(valid_to=None) | Q(valid_to__gt=moment), valid_from__lte=moment
        ).order_by("provider", "model", "-valid_from")


class Rates(models.Model):
    """What the classes of tokens cost, in US dollars per million."""

    input_usd = UsdField("input")
    cached_input_usd = UsdField("cached input", null=True, blank=True, help_text="Empty: as input.")
    cache_write_usd = UsdField("cache write", null=True, blank=True, help_text="Empty: as input.")
    output_usd = UsdField("output")
    reasoning_usd = UsdField("reasoning", null=True, blank=True, help_text="Empty: as output.")
    audio_input_usd = UsdField(
        "audio input",
        null=True,
        blank=True,
        help_text="Empty: not known, and said so when it comes.",
    )
    audio_output_usd = UsdField(
        "audio output", null=True, blank=True, help_text="Empty: not known, and said so."
    )
    cache_write_1h_usd = UsdField(
        "cache write for an hour", null=True, blank=True, help_text="Empty: not known, and said so."
    )
    image_input_usd = UsdField("image input", null=True, blank=True, help_text="Empty: as input.")
    image_output_usd = UsdField(
        "image output", null=True, blank=True, help_text="Empty: not known, and said so."
    )

    class Meta:
        abstract = True

    def rates(self) -> dict[str, Decimal]:
        """Return the rates that are set, in their shortest form."""
        amounts = {name: getattr(self, name) for name in RATES}
        return {name: shortest(usd) for name, usd in amounts.items() if usd is not None}


class TextRange(Func):
    """A text as a range, which GiST can compare for equality without a further extension."""

    function = "billing_text_range"
    template = "%(function)s(%(expressions)s, %(expressions)s, '[]')"


class Moments(Func):
    """From one moment until before another."""

    function = "tstzrange"
    output_field = DateTimeRangeField()


class Price(Rates):
    """What a provider takes for a model's tokens, in US dollars per million, from a moment on.

    A price is never edited: a new one is added, and the one before ends where it begins.
    """

    provider = models.CharField(max_length=100, help_text="The provider's name in Parley.")
    model = models.CharField(max_length=200, help_text="The provider's name of the model.")
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(null=True, blank=True)
    request_usd = UsdField("fee for each call", null=True, blank=True, help_text="In US dollars.")
    source = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PriceQuerySet.as_manager()

    class Meta:
        ordering = ["provider", "model", "-valid_from"]
        constraints = [
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gt=F("valid_from")),
                name="price_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=NOT_NEGATIVE & (Q(request_usd=None) | Q(request_usd__gte=0)),
                name="price_not_negative",
            ),
            ExclusionConstraint(
                name="price_no_overlap",
                expressions=[
                    (TextRange("provider"), RangeOperators.EQUAL),
                    (TextRange("model"), RangeOperators.EQUAL),
                    (Moments("valid_from", "valid_to", RangeBoundary()), RangeOperators.OVERLAPS),
                ],
                violation_error_message="The model has a price for a part of that time.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.model} from {self.valid_from:%Y-%m-%d}"

    def snapshot(self) -> PriceSnapshot:
        """Return the price with its tiers, as calls are charged by it."""
        fee = None if self.request_usd is None else shortest(self.request_usd)
        tiers = sorted(
            (tier.snapshot() for tier in self.tiers.all()),
            key=lambda tier: (tier.above_tokens, tier.service_tier),
        )
        return PriceSnapshot(**self.rates(), request_usd=fee, tiers=tuple(tiers))


class PriceTier(Rates):
    """What a whole call costs that is longer, or served in another way, than the ordinary."""

    price = models.ForeignKey(Price, models.CASCADE, related_name="tiers")
    service_tier = models.CharField(
        max_length=20,
        blank=True,
        validators=[RegexValidator(r"^[a-z0-9_.-]+\Z", "Use small letters, digits, _, . and -.")],
        help_text="As the vendor reports it: flex, priority, batch. Empty: ordinary.",
    )
    above_tokens = models.IntegerField(
        "above, tokens of input", default=0, help_text="0: whatever its length."
    )

    class Meta:
        ordering = ["price", "service_tier", "above_tokens"]
        constraints = [
            models.UniqueConstraint(
                fields=["price", "service_tier", "above_tokens"], name="price_tier_once"
            ),
            models.CheckConstraint(
                condition=Q(above_tokens__gt=0) | (Q(above_tokens=0) & ~Q(service_tier="")),
                name="price_tier_differs",
                violation_error_message="A tier has a service tier, a threshold, or both.",
            ),
            models.CheckConstraint(condition=NOT_NEGATIVE, name="price_tier_not_negative"),
        ]

    def __str__(self) -> str:
        above = f"above {self.above_tokens:,} tokens" if self.above_tokens else ""
        return " ".join(filter(None, (self.service_tier, above)))

    def snapshot(self) -> Tier:
        """Return the tier as calls are charged by it."""
        return Tier(**self.rates(), service_tier=self.service_tier, above_tokens=self.above_tokens)


class ProposalState(models.TextChoices):
    OPEN = "open", "Open"
    ACCEPTED = "accepted", "Accepted"
    REJECTED = "rejected", "Rejected"
    OUTDATED = "outdated", "Outdated"  # the list has changed since, or the price has


class PriceProposal(models.Model):
    """A price that a public list has for a model; it counts for nothing until it is accepted."""

    provider = models.CharField(max_length=100)
    model = models.CharField(max_length=200)
    source = models.CharField(max_length=200)
    proposed = models.JSONField()  # a `PriceSnapshot`
    # What the list does not say, or says in a way that calls cannot be priced by.
    warnings = ArrayField(models.CharField(max_length=300), default=list)
    comment = models.TextField(blank=True)  # of the list
    state = models.CharField(max_length=10, choices=ProposalState, default=ProposalState.OPEN)
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["provider", "model", "-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model"],
                condition=Q(state="open"),
                name="price_proposal_one_open",
            )
        ]
        permissions = [("decide_priceproposal", "Can accept and reject proposed prices")]

    def __str__(self) -> str:
        return f"{self.provider} {self.model}"

    def snapshot(self) -> PriceSnapshot:
        """Return the price that is proposed."""
        return msgspec.convert(self.proposed, PriceSnapshot)
