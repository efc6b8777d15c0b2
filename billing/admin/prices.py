"""Prices: they are added, never edited; what a call costs by them; what has none."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from billing import cost_steps, prices
from billing.admin import price_words
from billing.admin.price_forms import (
    FIRST_SAMPLE,
    PriceForm,
    SampleForm,
    UnsavedPriceForm,
)
from billing.admin.price_tiers import PriceTierInline, initial, initial_tiers, preceding
from billing.models import Price
from billing.models.prices import RATES
from billing.money import as_text
from billing.prices import unpriced

SAMPLE = "_sample"  # the button that shows what a call costs
PER_MILLION = "In US dollars per million tokens."


class InForce(admin.SimpleListFilter):
    title = "time"
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("now", "In force now")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Price]) -> QuerySet[Price]:
        if self.value() != "now":
            return queryset
        return queryset.filter(pk__in=Price.objects.in_force().order_by().values("pk"))


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A price is never edited: adding a new one ends the one before."""

    form = PriceForm
    inlines = [PriceTierInline]
    list_display = [
        *("provider", "model", "input_shown", "cached_input_shown", "cache_write_shown"),
        *("output_shown", "tiers_shown", "valid_from", "valid_to", "source"),
    ]
    list_filter = [InForce, "provider"]
    search_fields = ["provider", "model"]
    readonly_fields = ["rates_shown", "fee_shown"]

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

    @admin.display(description="rates")
    def rates_shown(self, price: Price) -> str:
        return price_words.rates(price.rates())

    @admin.display(description="fee for each call")
    def fee_shown(self, price: Price) -> str:
        return "none" if price.request_usd is None else price_words.exact(price.request_usd)

    @admin.display(description="tiers")
    def tiers_shown(self, price: Price) -> str:
        return "; ".join(map(str, price.tiers.all()))

    def get_fieldsets(self, request: HttpRequest, obj: Price | None = None) -> Any:
        """Return the form for a price to be added, or the facts of one that was."""
        about = ["provider", "model", "valid_from"]
        if obj is not None:
            about += ["valid_to", "source"]
        rates = ["rates_shown", "fee_shown"] if obj else [*RATES, "request_usd"]
        return [(None, {"fields": about}), ("Rates", {"fields": rates, "description": PER_MILLION})]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Price]:
        return super().get_queryset(request).prefetch_related("tiers")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("unpriced/", wrap(self.unpriced), name="billing_price_unpriced"),
            path("<int:pk>/sample/", wrap(self.sample), name="billing_price_sample"),
            *super().get_urls(),
        ]

    def unpriced(self, request: HttpRequest) -> HttpResponse:
        """Show which models were called that have no price, or no rate for what was asked."""
        return self._page(
            request,
            "unpriced",
            title="Calls without a price",
            models=unpriced.models_without_price(),
            tiers=unpriced.tiers_without_rate(),
            classes=unpriced.classes_without_rate(),
            days=unpriced.DAYS,
        )

    def sample(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what a made-up call costs by a price; nothing is saved."""
        price = get_object_or_404(Price.objects.prefetch_related("tiers"), pk=pk)
        form = SampleForm(request.GET or FIRST_SAMPLE)
        explained = None
        if form.is_valid():
            tier = form.cleaned_data["service_tier"]
            explained = cost_steps.explain(price.snapshot(), form.usage(), tier)
        return self._page(
            request,
            "sample",
            title="What a call costs",
            price=price,
            sample_form=form,
            cost=explained and price_words.cost(explained),
        )

    def get_form(
        self, request: HttpRequest, obj: Price | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if SAMPLE in request.POST:
            kwargs["form"] = UnsavedPriceForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with the price that a new one is to follow, or with what the address names."""
        before = preceding(request)
        if before is None:
            return {**super().get_changeform_initial_data(request), "valid_from": None}
        names = ("provider", "model", "request_usd", *RATES)
        return {**{name: initial(before, name) for name in names}, "valid_from": None}

    def get_formset_kwargs(
        self, request: HttpRequest, obj: Price, inline: Any, prefix: str
    ) -> dict[str, Any]:
        kwargs = super().get_formset_kwargs(request, obj, inline, prefix)
        if request.method == "GET" and obj.pk is None:
            kwargs["initial"] = initial_tiers(request)
        return kwargs

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kw: Any) -> Any:
        if kw.get("add") or (args and args[0]):
            is_asked = SAMPLE in request.POST
            sample_form = SampleForm(request.POST if is_asked else FIRST_SAMPLE)
            context["sample_form"] = sample_form
            if is_asked and sample_form.is_valid():
                context["cost"] = _cost(context, sample_form)
        return super().render_change_form(request, context, *args, **kw)

    def save_model(
        self, request: HttpRequest, obj: Price, form: ModelForm[Price], change: bool
    ) -> None:
        """Leave it to `save_related`: price and tiers are one thing."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Add the price with its tiers."""
        tiers = formsets[0].snapshots()
        formsets[0].save(commit=False)  # so that the admin's log can name what was added
        added = prices.add(
            provider=form.instance.provider,
            model=form.instance.model,
            price=form.snapshot(tiers),
            source=f"admin, {request.user}",
            valid_from=form.cleaned_data["valid_from"],
        )
        form.instance.pk = added.pk

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def _page(self, request: HttpRequest, name: str, **context: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context |= self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": context["title"],
            "has_add_permission": self.has_add_permission(request),
        }
        return TemplateResponse(request, f"admin/billing/price/{name}.html", context)


def _cost(context: Any, sample_form: SampleForm) -> price_words.CostShown | None:
    """Return the cost of the sample call by the price as it is filled in; `None`: not yet valid."""
    form = context["adminform"].form
    formset = context["inline_admin_formsets"][0].formset
    if form.errors or formset.total_error_count():
        return None
    tier = sample_form.cleaned_data["service_tier"]
    price = form.snapshot(formset.snapshots())
    return price_words.cost(cost_steps.explain(price, sample_form.usage(), tier))
