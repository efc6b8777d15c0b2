"""Prices: they are added, never edited."""

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from billing import prices
from billing.models import Price
from billing.money import as_text


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A price is never edited: adding a new one ends the one before."""

    list_display = [
        "provider",
        "model",
        "input_shown",
        "cached_input_shown",
        "cache_write_shown",
        "output_shown",
        "valid_from",
        "valid_to",
        "source",
    ]
    list_filter = ["provider"]
    search_fields = ["provider", "model"]
    fields = [
        "provider",
        "model",
        "input_usd",
        "cached_input_usd",
        "cache_write_usd",
        "output_usd",
    ]

    @admin.display(description="input", ordering="input_usd")
    def input_shown(self, price: Price) -> str:
        return as_text(price.input_usd)

    @admin.display(description="cached input", ordering="cached_input_usd", empty_value="as input")
    def cached_input_shown(self, price: Price) -> str | None:
        return None if price.cached_input_usd is None else as_text(price.cached_input_usd)

    @admin.display(description="cache write", ordering="cache_write_usd", empty_value="as input")
    def cache_write_shown(self, price: Price) -> str | None:
        return None if price.cache_write_usd is None else as_text(price.cache_write_usd)

    @admin.display(description="output", ordering="output_usd")
    def output_shown(self, price: Price) -> str:
        return as_text(price.output_usd)

    def save_model(
        self, request: HttpRequest, obj: Price, form: ModelForm[Price], change: bool
    ) -> None:
        added = prices.set_price(
            provider=obj.provider,
            model=obj.model,
            input_usd=obj.input_usd,
            output_usd=obj.output_usd,
            cached_input_usd=obj.cached_input_usd,
            cache_write_usd=obj.cache_write_usd,
            source=f"admin, {request.user}",
        )
        obj.pk = added.pk

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
