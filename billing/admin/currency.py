"""The currency that pages show, and its rates."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.shortcuts import redirect

from billing import currency
from billing.models import DisplayCurrency, ExchangeRate


@admin.register(DisplayCurrency)
class DisplayCurrencyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """One currency beside US dollars; without it pages show US dollars alone."""

    list_display = ["code", "symbol", "rate_now"]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> Any:
        """Lead to the one that there is. (As a permission, every admin page would look for it.)"""
        known = DisplayCurrency.objects.first()
        if known is not None:
            return redirect("admin:billing_displaycurrency_change", known.pk)
        return super().add_view(request, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        currency.forget()

    @admin.display(description="for a US dollar today", empty_value="no rate yet")
    def rate_now(self, obj: DisplayCurrency) -> str | None:
        rate = currency.rate_of()
        return None if rate is None else f"{rate.rate.normalize():f}, of {rate.day}"


@admin.register(ExchangeRate)
class ExchangeRateAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """One rate a day; pages show a day without one at the last before it."""

    list_display = ["code", "day", "rate", "source", "entered_by"]
    list_filter = ["code"]
    date_hierarchy = "day"
    list_select_related = ["entered_by"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.entered_by = request.user
        super().save_model(request, obj, form, change)
        currency.forget()
