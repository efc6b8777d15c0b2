"""What providers take."""

from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.money import UsdField


class PriceQuerySet(models.QuerySet["Price"]):
    def in_force(self) -> Self:
        now = timezone.now()
        return self.filter(Q(valid_to=None) | Q(valid_to__gt=now), valid_from__lte=now).order_by(
            "provider", "model", "-valid_from"
        )


class Price(models.Model):
    """What a provider takes for a model's tokens, in US dollars per million, from a moment on.

    A price is never edited: a new one is added, and the one before ends where it begins.
    """

    provider = models.CharField(max_length=100, help_text="The provider's name in Parley.")
    model = models.CharField(max_length=200, help_text="The provider's name of the model.")
    valid_from = models.DateTimeField(default=timezone.now)
    valid_to = models.DateTimeField(null=True, blank=True)
    input_usd = UsdField("input, USD per million tokens")
    cached_input_usd = UsdField("cached input, USD per million tokens", null=True, blank=True)
    cache_write_usd = UsdField("cache write, USD per million tokens", null=True, blank=True)
    output_usd = UsdField("output, USD per million tokens")
    source = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PriceQuerySet.as_manager()

    class Meta:
        ordering = ["provider", "model", "-valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "model", "valid_from"], name="price_unique_from"
            ),
            models.UniqueConstraint(
                fields=["provider", "model"],
                condition=Q(valid_to=None),
                name="price_one_open_end",
            ),
            models.CheckConstraint(
                condition=Q(valid_to=None) | Q(valid_to__gt=F("valid_from")),
                name="price_ends_after_it_begins",
            ),
            models.CheckConstraint(
                condition=Q(input_usd__gte=0)
                & Q(output_usd__gte=0)
                & (Q(cached_input_usd=None) | Q(cached_input_usd__gte=0))
                & (Q(cache_write_usd=None) | Q(cache_write_usd__gte=0)),
                name="price_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.model} from {self.valid_from:%Y-%m-%d}"
