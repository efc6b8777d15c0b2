"""The tiers of a price: rows to fill in, or to be read; and what a new price begins with."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from billing.admin import price_words
from billing.admin.price_forms import TierFormSet
from billing.models import Price, PriceTier
from billing.models.prices import RATES
from billing.money import shortest

LONGEST_ID = 19  # digits


class PriceTierInline(admin.TabularInline):  # type: ignore[type-arg]
    model = PriceTier
    formset = TierFormSet
    readonly_fields = ["rates_shown"]
    verbose_name_plural = "Tiers: the whole call costs this where one applies"
    classes = ["price-tiers"]

    @admin.display(description="rates")
    def rates_shown(self, tier: PriceTier) -> str:
        return price_words.rates(tier.rates())

    def get_fields(self, request: HttpRequest, obj: Price | None = None) -> Any:
        rates = ["rates_shown"] if obj else RATES
        return ["service_tier", "above_tokens", *rates]

    def get_extra(self, request: HttpRequest, obj: Price | None = None, **kwargs: Any) -> int:
        return 0 if obj else max(2, len(initial_tiers(request)))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def preceding(request: HttpRequest) -> Price | None:
    """Return the price that a new one begins with: by its id, or of the model in the address."""
    pk = request.GET.get("after", "")
    if pk.isdecimal() and len(pk) < LONGEST_ID:
        return Price.objects.filter(pk=pk).first()
    provider, model = (request.GET.get(name, "") for name in ("provider", "model"))
    return Price.objects.in_force().of(provider, model).first()


def initial_tiers(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the tiers that a new price begins with."""
    before = preceding(request) if request.method == "GET" else None
    names = ("service_tier", "above_tokens", *RATES)
    tiers = before.tiers.all() if before else ()
    return [{name: initial(tier, name) for name in names} for tier in tiers]


def initial(row: Price | PriceTier, name: str) -> Any:
    """Return a field of a row as a form begins with it."""
    value = getattr(row, name)
    return shortest(value) if name.endswith("_usd") and value is not None else value
